"""Whether a recording or film was cut off within one of its parts, or shown turned.

Only the sizes that parts give of themselves count. A duration may be an estimate, or leave silence
out.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from media.formats.boxes import (
    Box,
    CutShort,
    boxes,
    find_box,
    handler,
    is_turned,
    read_box,
    sample_ranges,
)
from media.formats.frames import FEWEST_PART, counted_seconds, size_of

MAX_MOOV_BYTES = 64 * 1024 * 1024
MEDIA_BOXES = {b"moov", b"mdat", b"moof"}
# A recorder that streams writes such a size, since it cannot know the real one yet.
NO_SIZE = 0x7FFF0000
# Sound without frames may lack so many bytes: some recorders count their header in.
MISSING_BYTES = 4096

SEGMENT, CLUSTER, TRACKS, TRACK = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE
VIDEO, PROJECTION, ROLL = 0xE0, 0x7670, 0x7675


def is_cut_short(file: BinaryIO, demuxer: str) -> bool:
    """Whether the file ends within one of its parts; `demuxer` is what FFmpeg calls its kind."""
    look = {"mov": _mp4, "matroska": _webm, "ogg": _ogg, "wav": _wav, "caf": _caf}.get(demuxer)
    return look is not None and look(file, size_of(file))


def missing_frames(file: BinaryIO, demuxer: str, seconds: float) -> bool:
    """Whether the file lacks frames that its encoder counted; `seconds` is how long it plays."""
    counted: float | None = None
    if demuxer == "mp3":
        counted = counted_seconds(file)
    elif demuxer == "flac":
        file.seek(0)
        head = file.read(26)
        rate = int.from_bytes(head[18:21], "big") >> 4
        counted = (int.from_bytes(head[21:26], "big") & 2**36 - 1) / rate if rate else None
    return counted is not None and seconds < counted * FEWEST_PART and seconds < counted - 1


def _top_boxes(file: BinaryIO) -> Iterator[Box]:
    """Yield an MP4's outermost boxes; the last one may end behind the file."""
    at, size = 0, size_of(file)
    while at < size:
        file.seek(at)
        box = read_box(file.read(16), at, size)
        if box is None:
            return  # bytes behind the last box mean nothing
        yield box
        at = box.end


def _read_moov(file: BinaryIO) -> bytes:
    """Return what an MP4's `moov` box holds; b"" without one that can be read."""
    for box in _top_boxes(file):
        if box.name == b"moov" and box.end - box.start <= MAX_MOOV_BYTES:
            file.seek(box.body)
            return file.read(box.end - box.body)
    return b""


def _mp4(file: BinaryIO, size: int) -> bool:
    if any(box.end > size and box.name in MEDIA_BOXES for box in _top_boxes(file)):
        return True
    moov = _read_moov(file)
    try:
        return any(
            end > size
            for track in boxes(moov)
            if track.name == b"trak"
            for _, end in sample_ranges(moov, track)
        )
    except CutShort:
        return False  # the decoder decides


def is_mp4_turned(file: BinaryIO) -> bool:
    """Whether an MP4's first film is shown turned by a quarter."""
    moov = _read_moov(file)
    all_turned = False
    try:
        for box in boxes(moov):
            if box.name == b"mvhd":
                all_turned = is_turned(moov, box)
            if box.name == b"trak" and handler(moov, box) == b"vide":
                header = find_box(moov, (b"tkhd",), box)
                return header is not None and all_turned != is_turned(moov, header)
    except (CutShort, IndexError):
        pass
    return False


class _Element(NamedTuple):
    """A Matroska element; `end` is None when its size is unknown."""

    id: int
    body: int
    end: int | None


def _elements(file: BinaryIO, at: int, end: int) -> Iterator[_Element]:
    """Yield the elements between two places; the last one may end behind the file."""
    while at < end:
        file.seek(at)
        head = file.read(12)
        id_width = 9 - head[0].bit_length()
        if id_width > 4 or len(head) <= id_width:
            return
        width = 9 - head[id_width].bit_length()
        if width > 8 or len(head) < id_width + width:
            return
        size = int.from_bytes(head[id_width : id_width + width], "big") & 2 ** (7 * width) - 1
        body = at + id_width + width
        unknown = size == 2 ** (7 * width) - 1
        stop = None if unknown else body + size
        yield _Element(int.from_bytes(head[:id_width], "big"), body, stop)
        # The children of an element of unknown size are yielded as its neighbours.
        at = body if stop is None else stop


def _webm(file: BinaryIO, size: int) -> bool:
    for outer in _elements(file, 0, size):
        if outer.end is not None and outer.end > size:
            # A live recording has no sizes, and promises nothing: its last block may be cut off.
            return outer.id in {SEGMENT, CLUSTER}
    return False


def is_webm_turned(file: BinaryIO) -> bool:
    """Whether a WebM's first film is shown turned by a quarter (ProjectionPoseRoll)."""
    size = size_of(file)
    within = _Element(0, 0, size)
    for id_ in (SEGMENT, TRACKS, TRACK, VIDEO, PROJECTION, ROLL):
        inner = _elements(file, within.body, min(within.end or size, size))
        found = next((element for element in inner if element.id == id_), None)
        if found is None:
            return False
        within = found
    file.seek(within.body)
    roll = file.read(min(8, (within.end or within.body) - within.body))
    degrees = struct.unpack(">f" if len(roll) == 4 else ">d", roll)[0] if len(roll) in {4, 8} else 0
    return bool(45 < abs(degrees) % 180 < 135)


def _ogg(file: BinaryIO, size: int) -> bool:
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(27 + 255)
        if head[:4] != b"OggS"[: len(head)]:
            return False  # bytes behind the last page mean nothing
        if len(head) < 27 or len(head) < 27 + head[26]:
            return True
        at += 27 + head[26] + sum(head[27 : 27 + head[26]])
    return at > size


def _wav(file: BinaryIO, size: int) -> bool:
    at = 12
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            return bool(length < NO_SIZE and at + 8 + length > size + MISSING_BYTES)
        at += 8 + length + length % 2
    return False


def _caf(file: BinaryIO, size: int) -> bool:
    at = 8
    while at + 12 <= size:
        file.seek(at)
        name, length = struct.unpack(">4sq", file.read(12))
        if length < 0:
            return False  # to the end of the file
        at += 12 + length
        if name == b"data":
            return bool(at > size + MISSING_BYTES)
    return False
