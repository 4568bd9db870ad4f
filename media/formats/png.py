"""PNG (W3C, third edition): its chunks, of which only those that the picture needs are kept."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from media.formats.stripping import Damaged, Stripped, orientation_alone

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What the colours of the picture mean, and how large it is printed.
COLOURS = (b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI")
ANIMATION = (b"acTL", b"fcTL", b"fdAT")
CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
KEPT = {*CRITICAL, *COLOURS, *ANIMATION, b"tRNS", b"bKGD", b"hIST", b"pHYs"}
PICTURE = {*CRITICAL, *ANIMATION}  # a wrong checksum here is damage; elsewhere it is mended
# What a profile may unpack to; browsers do without one that is larger, and so do we.
MAX_PROFILE_BYTES = 16 * 1024 * 1024


class Chunk(NamedTuple):
    """A chunk; `whole` is False when the file ends within it."""

    name: bytes
    body: bytes
    sound: bool
    whole: bool


def strip_png(content: bytes) -> Stripped:
    """Return the PNG without anything but its picture, its colours and its frames. Raises Damaged.

    Dropped: texts, XMP, EXIF, times, what is not known, and whatever stands behind the end.
    """
    kept = [SIGNATURE]
    exif, header = b"", b""
    frames = shown = 0
    begun = ended = False
    for chunk in read_chunks(content):
        name, body, sound, whole = chunk
        if name in PICTURE and whole and not sound:
            raise Damaged
        if not whole and name != b"IDAT" and (name in ANIMATION or not begun):
            raise Damaged
        if name == b"eXIf" and whole:
            exif = exif or body
        if name not in KEPT:
            if not name[:1].islower() and whole:
                raise Damaged  # it is needed to show the picture, and nobody knows how
            continue
        if name == b"IHDR":
            header = header or body
        elif name == b"acTL":
            frames = int.from_bytes(body[:4], "big")
        elif name == b"fcTL":
            shown += 1
        if name == b"iCCP" and not _unpacks(body):
            continue
        if not whole and name != b"IDAT":
            break
        begun = begun or name == b"IDAT"
        ended = name == b"IEND"
        # A last part that was cut off may still have the whole picture: the decoder judges.
        kept.append(write_chunk(name, body))
    if len(header) != 13 or not begun or (frames and shown < frames):
        raise Damaged
    if not ended:
        kept.append(write_chunk(b"IEND", b""))
    width, height = struct.unpack_from(">II", header)
    return Stripped(b"".join(kept), width, height, frames=max(1, frames), exif=exif)


def read_chunks(content: bytes) -> Iterator[Chunk]:
    """Yield the chunks up to the end of the picture, or of the file."""
    at = len(SIGNATURE)
    while at < len(content):
        if at + 8 > len(content):
            return
        length, name = struct.unpack_from(">I4s", content, at)
        end = at + 8 + length
        body = content[at + 8 : end]
        check = content[end : end + 4]
        whole = len(check) == 4
        sound = whole and int.from_bytes(check, "big") == zlib.crc32(name + body)
        yield Chunk(name, body, sound, whole)
        if name == b"IEND":
            return
        at = end + 4


def write_chunk(name: bytes, body: bytes) -> bytes:
    """Return the chunk as it stands in a file."""
    check = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)


def _unpacks(profile: bytes) -> bool:
    packed = profile.partition(b"\0")[2][1:]
    try:
        unpacking = zlib.decompressobj()
        unpacking.decompress(packed, MAX_PROFILE_BYTES)
    except zlib.error:
        return False
    return unpacking.eof


def is_deep(content: bytes) -> bool:
    """Whether the PNG has 16 bits for each of several channels, of which Pillow reads eight."""
    return content[24] == 16 and content[25] != 0


def with_colours(content: bytes, original: bytes) -> bytes:
    """Return a PNG with the chunks of another that tell what its colours mean."""
    told = [chunk for chunk in read_chunks(original) if chunk.name in {*COLOURS, b"pHYs"}]
    rest = [chunk for chunk in read_chunks(content) if chunk.name not in {*COLOURS, b"pHYs"}]
    return SIGNATURE + b"".join(
        write_chunk(chunk.name, chunk.body) for chunk in (rest[0], *told, *rest[1:])
    )


def with_orientation(content: bytes, orientation: int) -> bytes:
    """Return a stripped PNG with EXIF that says how it is meant to be seen."""
    after_header = len(SIGNATURE) + 25
    exif = write_chunk(b"eXIf", orientation_alone(orientation))
    return content[:after_header] + exif + content[after_header:]
