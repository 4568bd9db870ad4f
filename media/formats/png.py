"""PNG (W3C, third edition): its chunks. Only those of the picture are kept."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from media.formats.stripping import Damaged, Stripped, orientation_alone

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The chunks that say what the colours mean.
COLOURS = (b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI")
ANIMATION = (b"acTL", b"fcTL", b"fdAT")
CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
KEPT = {*CRITICAL, *COLOURS, *ANIMATION, b"tRNS", b"bKGD", b"hIST", b"pHYs"}
PICTURE = {*CRITICAL, *ANIMATION}  # a wrong checksum is damage here; elsewhere it is mended
# A profile that unpacks to more is dropped: browsers ignore it too.
MAX_PROFILE_BYTES = 16 * 1024 * 1024


class Chunk(NamedTuple):
    """A chunk; it is `intact` when its checksum fits, and not `whole` where the file ends in it."""

    name: bytes
    body: bytes
    intact: bool
    whole: bool


def strip(content: bytes) -> Stripped:
    """Return the PNG with its picture, its colours and its frames alone. Raises Damaged.

    Dropped: texts, XMP, EXIF, times, unknown chunks, and any bytes behind the end.
    """
    kept = [SIGNATURE]
    exif, header = b"", b""
    frames = shown = 0
    begun = ended = False
    for chunk in read_chunks(content):
        name, body, intact, whole = chunk
        if name in PICTURE and whole and not intact:
            raise Damaged
        if not whole and name != b"IDAT" and (name in ANIMATION or not begun):
            raise Damaged
        if name == b"eXIf" and whole:
            exif = exif or body
        if name not in KEPT:
            if not name[:1].islower() and whole:
                raise Damaged  # an unknown chunk that is critical: no viewer can show the picture
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
        # A last IDAT that was cut off may hold the whole picture: the decoder decides.
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
        intact = whole and int.from_bytes(check, "big") == zlib.crc32(name + body)
        yield Chunk(name, body, intact, whole)
        if name == b"IEND":
            return
        at = end + 4


def write_chunk(name: bytes, body: bytes) -> bytes:
    """Return the chunk's bytes in a file."""
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
    """Whether the PNG has several channels of 16 bits: Pillow would read eight bits of each."""
    return content[24] == 16 and content[25] != 0


def with_colours(content: bytes, original: bytes) -> bytes:
    """Return a PNG with the original's chunks for the meaning of colours and the print size."""
    copied = {*COLOURS, b"pHYs"}
    meanings = [chunk for chunk in read_chunks(original) if chunk.name in copied]
    header, *rest = [chunk for chunk in read_chunks(content) if chunk.name not in copied]
    chunks = (header, *meanings, *rest)
    return SIGNATURE + b"".join(write_chunk(chunk.name, chunk.body) for chunk in chunks)


def with_orientation(content: bytes, orientation: int) -> bytes:
    """Return a stripped PNG with EXIF that tells the orientation, and nothing else."""
    after_header = len(SIGNATURE) + 25
    exif = write_chunk(b"eXIf", orientation_alone(orientation))
    return content[:after_header] + exif + content[after_header:]
