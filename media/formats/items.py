"""The items of a `meta` box (ISO/IEC 14496-12, 8.11): pictures, and their properties."""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from media.facts import Unreadable
from media.formats.boxes import Box, blanked, boxes, write_box
from media.formats.stripping import Damaged

# A coded picture, and pictures made of others: tiles, overlays, tone maps.
PICTURES = {b"av01", b"grid", b"iovl", b"iden", b"tmap"}
MADE_OF, SMALL, BESIDE, BEFORE = b"dimg", b"thmb", b"auxl", b"prem"
# The properties of size, colours and place; any other may tell about the picture's maker.
PROPERTIES = {
    *(b"ispe", b"pixi", b"colr", b"av1C", b"auxC", b"irot", b"imir", b"clap", b"pasp", b"clli"),
    *(b"mdcv", b"cclv", b"amve", b"a1op", b"a1lx", b"lsel", b"rloc", b"reve", b"ndwt"),
}
IN_FILE, IN_META = 0, 1  # ways to say where an item's bytes are


class Items(NamedTuple):
    """A `meta` box's new content, the ranges of its pictures in the file, and the size shown."""

    meta: bytes
    ranges: list[tuple[int, int]]
    size: tuple[int, int]


class _Place(NamedTuple):
    """Where an item's bytes are, and the entry of `iloc` that says so."""

    how: int
    ranges: list[tuple[int, int]]
    entry: bytes


def read_items(content: bytes, meta: Box, *, keep: set[bytes]) -> Items:
    """Return a `meta` box without the items that no viewer shows; `keep` names its boxes to keep.

    Raises Damaged, CutShort, and struct.error where a table is cut off.
    """
    parts = {b.name: b for b in boxes(content, meta.body + 4, meta.end) if b.name in keep}
    if not {b"pitm", b"iinf", b"iloc", b"iprp"} <= parts.keys():
        raise Damaged
    wide = content[parts[b"pitm"].body] != 0
    primary = int.from_bytes(content[parts[b"pitm"].body + 4 :][: 4 if wide else 2], "big")
    types = dict(_types(content, parts[b"iinf"]))
    references = [*_references(content, parts[b"iref"])] if b"iref" in parts else []
    shown = _shown(primary, {id_: type_ for id_, (type_, _) in types.items()}, references)
    places = dict(_places(content, parts[b"iloc"]))
    if any(places[id_].how not in {IN_FILE, IN_META} for id_ in shown & places.keys()):
        raise Unreadable("The image is put together in a way that is not known here")
    has_tone_map = any(types[id_][0] == b"tmap" for id_ in shown & types.keys())
    ranges: dict[int, list[tuple[int, int]]] = {IN_FILE: [], IN_META: []}
    for id_ in shown & places.keys():
        ranges[places[id_].how] += places[id_].ranges
    rewrite: dict[bytes, Callable[[Box], bytes]] = {
        b"iinf": lambda box: _items_box(content, box, [types[i][1] for i in types if i in shown]),
        b"iloc": lambda box: _places_box(content, box, [places[i] for i in places if i in shown]),
        b"iref": lambda box: _references_box(content, box, shown),
        b"iprp": lambda box: _properties_box(content, box, shown),
        b"idat": lambda box: _data_box(content, box, ranges[IN_META]),
        b"grpl": lambda box: content[box.start : box.end] if has_tone_map else b"",
    }
    made = content[meta.body : meta.body + 4]
    for name, box in parts.items():
        made += rewrite[name](box) if name in rewrite else content[box.start : box.end]
    return Items(made, ranges[IN_FILE], _size(content, parts[b"iprp"], primary))


def _types(content: bytes, box: Box) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
    """Yield each item's id, its type, and its entry."""
    for entry in boxes(content, box.body + (6 if content[box.body] == 0 else 8), box.end):
        width = 2 if content[entry.body] < 3 else 4
        at = entry.body + 4
        id_ = int.from_bytes(content[at : at + width], "big")
        yield id_, (content[at + width + 2 : at + width + 6], content[entry.start : entry.end])


def _references(content: bytes, box: Box) -> Iterator[tuple[bytes, int, list[int]]]:
    """Yield each reference: its kind, the item that refers, and the items that it refers to."""
    width = 4 if content[box.body] else 2
    for each in boxes(content, box.body + 4, box.end):
        numbers = content[each.body : each.end]
        count = int.from_bytes(numbers[width : width + 2], "big")
        to = [
            int.from_bytes(numbers[at : at + width], "big")
            for at in range(width + 2, width + 2 + count * width, width)
        ]
        yield each.name, int.from_bytes(numbers[:width], "big"), to


def _shown(
    primary: int, types: dict[int, bytes], references: list[tuple[bytes, int, list[int]]]
) -> set[int]:
    """Return the items that a viewer needs: the picture, its parts and its transparency."""
    shown = {primary}
    while True:
        more = set()
        for kind, from_, to in references:
            tone_map = types.get(from_) == b"tmap" and primary in to
            made_of = kind == MADE_OF and (from_ in shown or tone_map)
            beside = kind == BESIDE and bool(shown & {*to})
            if made_of or beside or (kind == BEFORE and from_ in shown):
                more |= {from_, *to}
        more = {id_ for id_ in more if types.get(id_) in PICTURES} - shown
        if not more:
            return shown
        shown |= more


def _items_box(content: bytes, box: Box, entries: list[bytes]) -> bytes:
    wide = content[box.body] != 0
    count = len(entries).to_bytes(4 if wide else 2, "big")
    return write_box(b"iinf", content[box.body : box.body + 4] + count + b"".join(entries))


def _places(content: bytes, box: Box) -> Iterator[tuple[int, _Place]]:
    """Yield each item's id, and its place (8.11.3)."""
    version = content[box.body]
    offset, length = content[box.body + 4] >> 4, content[box.body + 4] & 15
    base_width, index = content[box.body + 5] >> 4, content[box.body + 5] & 15
    index = index if version else 0
    width = 2 if version < 2 else 4
    at = box.body + 6

    def number(size: int) -> int:
        nonlocal at
        if at + size > box.end:
            raise Damaged
        at += size
        return int.from_bytes(content[at - size : at], "big")

    for _ in range(number(width)):
        start = at
        id_ = number(width)
        how = number(2) & 15 if version else IN_FILE
        elsewhere, base = number(2), number(base_width)
        if elsewhere:
            raise Damaged  # in another file
        ranges = []
        for _ in range(number(2)):
            number(index)
            first = base + number(offset)
            ranges.append((first, first + number(length)))
            if ranges[-1][1] <= first:
                raise Damaged
        yield id_, _Place(how, ranges, content[start:at])


def _places_box(content: bytes, box: Box, places: list[_Place]) -> bytes:
    width = 2 if content[box.body] < 2 else 4
    count = len(places).to_bytes(width, "big")
    entries = b"".join(place.entry for place in places)
    return write_box(b"iloc", content[box.body : box.body + 6] + count + entries)


def _references_box(content: bytes, box: Box, shown: set[int]) -> bytes:
    width = 4 if content[box.body] else 2
    made = content[box.body : box.body + 4]
    for kind, from_, to in _references(content, box):
        left = [id_ for id_ in to if id_ in shown]
        if from_ in shown and left and kind != SMALL:
            ids = b"".join(id_.to_bytes(width, "big") for id_ in left)
            made += write_box(
                kind, from_.to_bytes(width, "big") + struct.pack(">H", len(left)) + ids
            )
    return write_box(b"iref", made)


def _properties_box(content: bytes, box: Box, shown: set[int]) -> bytes:
    made = b""
    for part in boxes(content, box.body, box.end):
        if part.name == b"ipco":
            # Items name properties by number: a dropped property becomes a `free` box.
            made += write_box(
                b"ipco",
                b"".join(
                    content[each.start : each.end]
                    if each.name in PROPERTIES
                    else write_box(b"free", bytes(each.end - each.start - 8))
                    for each in boxes(content, part.body, part.end)
                ),
            )
        elif part.name == b"ipma":
            entries = [entry for id_, _, entry in _associations(content, part) if id_ in shown]
            header = content[part.body : part.body + 4]
            made += write_box(b"ipma", header + struct.pack(">I", len(entries)) + b"".join(entries))
    return write_box(b"iprp", made)


def _associations(content: bytes, box: Box) -> Iterator[tuple[int, list[int], bytes]]:
    """Yield each item's id, the numbers of its properties, and its entry."""
    width = 2 if content[box.body] < 1 else 4
    each = 2 if content[box.body + 3] & 1 else 1
    mask = 0x7FFF if each == 2 else 0x7F
    (count,) = struct.unpack_from(">I", content, box.body + 4)
    at = box.body + 8
    for _ in range(count):
        start = at
        id_ = int.from_bytes(content[at : at + width], "big")
        at += width
        if at >= box.end:
            raise Damaged
        end = at + 1 + content[at] * each
        numbers = [
            int.from_bytes(content[place : place + each], "big") & mask
            for place in range(at + 1, end, each)
        ]
        at = end
        yield id_, numbers, content[start:at]


def _data_box(content: bytes, box: Box, used: list[tuple[int, int]]) -> bytes:
    if any(box.body + end > box.end for _, end in used):
        raise Damaged
    ranges = ((box.body + start, box.body + end) for start, end in used)
    return write_box(b"idat", blanked(content, box, ranges))


def _size(content: bytes, properties: Box, primary: int) -> tuple[int, int]:
    """Return the size at which the picture is shown, turned as its properties say."""
    parts = [*boxes(content, properties.body, properties.end)]
    told = [b for p in parts if p.name == b"ipco" for b in boxes(content, p.body, p.end)]
    width = height = 0
    turned = False
    for part in parts:
        if part.name != b"ipma":
            continue
        for id_, numbers, _ in _associations(content, part):
            for number in numbers if id_ == primary else []:
                box = told[number - 1]
                if box.name == b"ispe":
                    width, height = struct.unpack_from(">II", content, box.body + 4)
                elif box.name == b"irot":
                    turned = bool(content[box.body] & 1)
    if not width or not height:
        raise Damaged
    return (height, width) if turned else (width, height)
