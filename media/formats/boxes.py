"""The boxes of ISO base media files (ISO/IEC 14496-12): MP4, QuickTime, 3GP, AVIF."""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# A film of a day has fewer samples: a table that counts more is damaged.
MAX_SAMPLES = 10_000_000


class CutShort(Exception):
    """The content ends within one of its parts."""


class Box(NamedTuple):
    """Where a box is: its header begins at `start`, its content at `body`; both end at `end`."""

    name: bytes
    start: int
    body: int
    end: int


def read_box(head: bytes, start: int, limit: int) -> Box | None:
    """Return the box that begins with these 16 bytes; None when no box does.

    `limit` is the end of its file or holder. A damaged box may end behind it.
    """
    if len(head) < 8:
        return None
    size, name = int.from_bytes(head[:4], "big"), head[4:8]
    header = 8
    if size == 1:
        header, size = 16, int.from_bytes(head[8:16], "big")
    elif size == 0:  # to the end of the file
        size = limit - start
    return Box(name, start, start + header, start + size) if size >= header else None


def boxes(content: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes between two places, in order. Raises CutShort."""
    end = len(content) if end is None else end
    while start < end:
        box = read_box(content[start : min(end, start + 16)], start, end)
        if box is None or box.end > end:
            raise CutShort
        yield box
        start = box.end


def write_box(name: bytes, body: bytes) -> bytes:
    """Return the bytes of a box."""
    return struct.pack(">I4s", len(body) + 8, name) + body


def blanked(content: bytes | bytearray, box: Box, used: Iterable[tuple[int, int]]) -> bytes:
    """Return what a box holds, with zeros in place of every byte outside the ranges of `used`."""
    blank = bytearray(box.end - box.body)
    for start, end in used:
        first, last = max(start, box.body), min(end, box.end)
        if first < last:
            blank[first - box.body : last - box.body] = content[first:last]
    return bytes(blank)


def find_box(content: bytes, path: tuple[bytes, ...], within: Box) -> Box | None:
    """Return the first box at this path of names below `within`. Raises CutShort."""
    for name in path:
        found = next((b for b in boxes(content, within.body, within.end) if b.name == name), None)
        if found is None:
            return None
        within = found
    return within


def handler(content: bytes, track: Box) -> bytes:
    """Return the kind of a track: b"vide", b"soun", b"pict"… Raises CutShort."""
    box = find_box(content, (b"mdia", b"hdlr"), track)
    return content[box.body + 8 : box.body + 12] if box is not None else b""


def sample_ranges(content: bytes, track: Box) -> Iterator[tuple[int, int]]:
    """Yield where each chunk of a track's samples begins and ends in the file.

    Raises CutShort when the tables contradict each other.
    """
    table = find_box(content, (b"mdia", b"minf", b"stbl"), track)
    if table is None:
        return
    found = {box.name: content[box.body : box.end] for box in boxes(content, table.body, table.end)}
    try:
        yield from _chunks(found)
    except (struct.error, KeyError, IndexError):
        raise CutShort from None


def _chunks(tables: dict[bytes, bytes]) -> Iterator[tuple[int, int]]:
    wide = b"co64" in tables
    offsets = _numbers(tables[b"co64" if wide else b"stco"], 4, "Q" if wide else "I", 1)
    runs = _numbers(tables[b"stsc"], 4, "I", 3)
    same, count = struct.unpack_from(">II", tables[b"stsz"], 4)
    if count > MAX_SAMPLES:
        raise CutShort
    sizes = [] if same else _numbers(tables[b"stsz"], 8, "I", 1)
    sample = run = 0
    for number, start in enumerate(offsets, 1):
        while run + 3 < len(runs) and runs[run + 3] <= number:
            run += 3
        samples = min(runs[run + 1], count - sample)
        size = same * samples if same else sum(sizes[sample : sample + samples])
        sample += samples
        yield start, start + size


def _numbers(table: bytes, at: int, format_: str, each: int) -> tuple[int, ...]:
    (count,) = struct.unpack_from(">I", table, at)
    if count > MAX_SAMPLES:
        raise CutShort
    return struct.unpack_from(f">{count * each}{format_}", table, at + 4)


def is_turned(content: bytes, box: Box) -> bool:
    """Whether the matrix of a `tkhd` or `mvhd` turns its picture by a quarter."""
    version_1 = content[box.body] == 1  # its times are longer
    at = box.body + (40 if box.name == b"tkhd" else 36) + (12 if version_1 else 0)
    matrix = content[at : at + 8]
    if len(matrix) < 8:
        return False
    across, down = struct.unpack(">ii", matrix)
    return bool(abs(down) > abs(across))
