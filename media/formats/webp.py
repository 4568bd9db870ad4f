"""WebP (RFC 9649): its chunks. Only those of the picture are kept."""

import struct
from collections.abc import Iterator

from media.formats.stripping import Damaged, Stripped, orientation_alone

LOSSY, LOSSLESS = b"VP8 ", b"VP8L"
PICTURES = (LOSSY, LOSSLESS)
FRAME_HEADER = 16
PROFILE_FLAG, EXIF_FLAG, XMP_FLAG = 0x20, 0x08, 0x04
LOSSLESS_SIGNATURE = 0x2F


def strip(content: bytes) -> Stripped:
    """Return the WebP with its picture, its frames and its colour profile alone. Raises Damaged.

    Dropped: EXIF, XMP, unknown chunks, and any bytes behind the end.
    """
    kept: list[tuple[bytes, bytes]] = []
    exif = b""
    frames = 0
    lossless = True
    seen: set[bytes] = set()
    for name, body, whole in _chunks(content, 12, _end(content)):
        if name == b"EXIF":
            exif = exif or body
        if name == b"ANMF":
            body, frame_lossless = _strip_frame(body)
            lossless = lossless and frame_lossless
            frames += 1
        elif name in seen or name not in {*PICTURES, b"VP8X", b"ALPH", b"ANIM", b"ICCP"}:
            continue
        elif name in PICTURES:
            if frames or seen & {*PICTURES}:
                continue  # viewers do not show a second picture
            lossless = name == LOSSLESS
        if not whole:
            raise Damaged
        seen.add(name)
        kept.append((name, body))
    extended = kept[:1] != [] and kept[0][0] == b"VP8X"
    if not extended:  # viewers show a picture alone
        kept = [each for each in kept if each[0] in PICTURES]
    if not kept or not (frames or seen & {*PICTURES}):
        raise Damaged
    width, height = _size(*kept[0])
    if not width or not height:
        raise Damaged
    if extended:
        flags = kept[0][1][0] & ~(EXIF_FLAG | XMP_FLAG)
        flags = flags if b"ICCP" in seen else flags & ~PROFILE_FLAG
        kept[0] = (b"VP8X", bytes((flags,)) + kept[0][1][1:10])
    return Stripped(_file(kept), width, height, frames=max(1, frames), exif=exif, lossless=lossless)


def _end(content: bytes) -> int:
    """Return the end that the header says, where a chunk ends there; else the end of the file."""
    said = 8 + int.from_bytes(content[4:8], "little")
    ends: set[int] = set()
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
        ends.update((at, at - size % 2))
    return said if said in ends and said <= len(content) else len(content)


def _chunks(content: bytes, at: int, end: int) -> Iterator[tuple[bytes, bytes, bool]]:
    while at + 8 <= end:
        name, size = struct.unpack_from("<4sI", content, at)
        yield name, content[at + 8 : min(end, at + 8 + size)], at + 8 + size <= end
        at += 8 + size + size % 2


def _strip_frame(frame: bytes) -> tuple[bytes, bool]:
    """Return an animation's frame with its picture alone, and whether that is lossless."""
    inside: list[tuple[bytes, bytes]] = []
    for name, body, whole in _chunks(frame, FRAME_HEADER, len(frame)):
        if name in {*PICTURES, b"ALPH"}:
            if not whole:
                raise Damaged
            inside.append((name, body))
        if name in PICTURES:
            break
    if not inside or inside[-1][0] not in PICTURES:
        raise Damaged
    return frame[:FRAME_HEADER] + b"".join(_chunk(*each) for each in inside), (
        inside[-1][0] == LOSSLESS
    )


def _size(name: bytes, body: bytes) -> tuple[int, int]:
    if name == b"VP8X" and len(body) >= 10:
        return tuple(int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))  # type: ignore[return-value]  # two of them
    if name == LOSSY and body[3:6] == b"\x9d\x01\x2a" and len(body) >= 10:
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    if name == LOSSLESS and body[:1] == bytes((LOSSLESS_SIGNATURE,)) and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise Damaged


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def _file(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return _chunk(b"RIFF", b"WEBP" + b"".join(_chunk(*each) for each in chunks))


def with_orientation(content: bytes, orientation: int) -> bytes:
    """Return a stripped WebP with EXIF that tells the orientation, and nothing else."""
    kept = [(name, body) for name, body, _ in _chunks(content, 12, len(content))]
    if kept[0][0] != b"VP8X":
        width, height = _size(*kept[0])
        # Bit 28 of a lossless picture's header says whether it has transparency.
        clear = kept[0][0] == LOSSLESS and kept[0][1][4] & 0x10
        sizes = b"".join((side - 1).to_bytes(3, "little") for side in (width, height))
        kept.insert(0, (b"VP8X", bytes((0x10 if clear else 0, 0, 0, 0)) + sizes))
    kept[0] = (b"VP8X", bytes((kept[0][1][0] | EXIF_FLAG,)) + kept[0][1][1:])
    return _file([*kept, (b"EXIF", orientation_alone(orientation))])
