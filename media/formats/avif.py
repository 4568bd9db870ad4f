"""AVIF (ISO/IEC 14496-12, 23008-12): its items. Only those of the picture are kept.

No box moves, since many tables hold offsets. A box that is dropped becomes a `free` box of zeros.
"""

import struct
from collections.abc import Iterator

from media.formats.boxes import (
    Box,
    CutShort,
    blanked,
    boxes,
    find_box,
    handler,
    read_box,
    sample_ranges,
    write_box,
)
from media.formats.items import Items, read_items
from media.formats.stripping import Damaged, Inseparable, Stripped

NEEDED = {b"ftyp", b"meta", b"moov", b"mdat"}
META = {b"hdlr", b"dinf", b"pitm", b"iloc", b"iinf", b"iref", b"iprp", b"idat", b"grpl"}
# Of an animation: the boxes that hold others, and the tables that describe its pictures.
HOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"}
TABLES = {
    *(b"mvhd", b"tkhd", b"mdhd", b"hdlr", b"elst", b"tref", b"vmhd", b"nmhd", b"dinf", b"stsd"),
    *(b"stts", b"ctts", b"cslg", b"stsc", b"stsz", b"stco", b"co64", b"stss", b"sdtp"),
    *(b"sbgp", b"sgpd"),
}
DATED = {b"mvhd", b"tkhd", b"mdhd"}  # they hold when the file was made and changed
PICTURES = {b"pict", b"vide", b"auxv"}


def strip(content: bytes) -> Stripped:
    """Return the AVIF with its picture, its colours and its frames alone.

    Dropped: EXIF, XMP, thumbnails, pictures that no viewer shows, times and names. Raises Damaged,
    Inseparable, Unreadable.
    """
    try:
        return _strip(content)
    except (CutShort, struct.error, IndexError):
        raise Damaged from None


def _strip(content: bytes) -> Stripped:
    outer = [*_outermost(content)]
    made = bytearray(content)
    used: list[tuple[int, int]] = []
    size: tuple[int, int] | None = None
    frames = 1
    for box in outer:
        if box.name == b"moov":
            _clean_moov(made, box)
            tracks = [b for b in boxes(content, box.body, box.end) if _is_picture(content, b)]
            for track in tracks:
                used += sample_ranges(content, track)
            if tracks:
                frames = _frame_count(content, tracks[0])
                size = _track_size(content, tracks[0])
    for box in outer:
        if box.name == b"meta":
            items = read_items(content, box, keep=META)
            used += items.ranges
            _replace(made, box, items)
            size = items.size
    if size is None or any(end > len(content) for _, end in used):
        raise Damaged
    last = max(box.end for box in outer if box.name in NEEDED)
    for box in outer:
        if box.name == b"mdat":
            made[box.body : box.end] = blanked(made, box, used)
        elif box.name not in NEEDED and box.end <= last:
            _free(made, box)
    return Stripped(bytes(made[:last]), *size, frames=frames)


def _outermost(content: bytes) -> Iterator[Box]:
    at, seen = 0, set()
    while at < len(content):
        box = read_box(content[at : at + 16], at, len(content))
        if box is None:
            return  # bytes behind the last box mean nothing
        if box.end > len(content):
            if box.name in NEEDED:
                raise Damaged
            return
        if box.name == b"meta" and box.name in seen:
            return
        seen.add(box.name)
        yield box
        at = box.end


def _replace(made: bytearray, box: Box, items: Items) -> None:
    """Put a shorter `meta` in the place of the box, and a `free` box behind it."""
    meta = write_box(b"meta", items.meta)
    left = box.end - box.start - len(meta)
    if left and left < 8:
        raise Inseparable
    made[box.start : box.end] = meta + (write_box(b"free", bytes(left - 8)) if left else b"")


def _free(made: bytearray, box: Box) -> None:
    """Make the box a `free` box of zeros."""
    made[box.start + 4 : box.start + 8] = b"free"
    made[box.body : box.end] = bytes(box.end - box.body)


def _is_picture(content: bytes, box: Box) -> bool:
    return box.name == b"trak" and handler(content, box) in PICTURES


def _clean_moov(made: bytearray, holder: Box) -> None:
    for box in boxes(bytes(made), holder.body, holder.end):
        if box.name in HOLDERS and (box.name != b"trak" or _is_picture(bytes(made), box)):
            _clean_moov(made, box)
        elif box.name in DATED:
            times = 16 if made[box.body] == 1 else 8
            made[box.body + 4 : box.body + 4 + times] = bytes(times)
        elif box.name not in TABLES:
            _free(made, box)


def _frame_count(content: bytes, track: Box) -> int:
    sizes = find_box(content, (b"mdia", b"minf", b"stbl", b"stsz"), track)
    if sizes is None:
        raise Damaged
    return max(1, int.from_bytes(content[sizes.body + 8 : sizes.body + 12], "big"))


def _track_size(content: bytes, track: Box) -> tuple[int, int]:
    header = find_box(content, (b"tkhd",), track)
    if header is None:
        raise Damaged
    width, height = struct.unpack(">II", content[header.end - 8 : header.end])
    return width >> 16, height >> 16
