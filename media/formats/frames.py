"""MP3 and AAC (ADTS): frames without a container, with tags before and behind them."""

import io
import struct
from typing import BinaryIO, NamedTuple

# ISO 11172-3 and 13818-3, layer III: kbit/s by index, for MPEG-1 and for MPEG-2 and 2.5.
BITRATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
RATES = (44100, 48000, 32000)
MPEG_1, MPEG_2_5, RESERVED = 3, 0, 1  # the two bits of a header that name the version
ADTS_HEADER = 7
FEWEST_PART = 0.9  # of the frames that a header counts: with fewer, the file is cut short


class Frame(NamedTuple):
    """What the header of an MP3's frame says."""

    size: int
    samples: int
    rate: int
    counted_at: int  # the offset at which an encoder writes how many frames there are


def size_of(file: BinaryIO) -> int:
    """Return how many bytes the file has."""
    return file.seek(0, io.SEEK_END)


def id3_end(file: BinaryIO) -> int:
    """Return where the ID3v2 tags at the start of the file end; 0 without one."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return at
        at += 10 + _syncsafe(head[6:10]) + (10 if head[5] & 0x10 else 0)


def _syncsafe(four: bytes) -> int:
    return four[0] << 21 | four[1] << 14 | four[2] << 7 | four[3]


def begins_with_frames(file: BinaryIO, start: int) -> str | None:
    """Return FFmpeg's name of the frames from `start` on; None without two in a row.

    One frame will do where it is the whole file.
    """
    file.seek(start)
    first = file.read(ADTS_HEADER)
    for demuxer, frame_size in (("mp3", _mp3_size), ("aac", _adts_size)):
        size = frame_size(first)
        if size is not None:
            file.seek(start + size)
            second = file.read(ADTS_HEADER)
            if frame_size(second) or (not second and start + size == size_of(file)):
                return demuxer
    return None


def _mp3_size(header: bytes) -> int | None:
    frame = read_frame(header)
    return frame.size if frame is not None else None


def read_frame(header: bytes) -> Frame | None:
    """Return what the header of a layer III frame says; None when it is no such header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version = header[1] >> 3 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == RESERVED or bitrate in {0, 15} or rate == 3:
        return None
    newer = version != MPEG_1
    hertz = RATES[rate] >> (2 if version == MPEG_2_5 else 1 if newer else 0)
    samples = 576 if newer else 1152
    size = samples // 8 * BITRATES[newer][bitrate] * 1000 // hertz + (header[2] >> 1 & 1)
    mono = header[3] >> 6 == 3
    side = ((32, 17), (17, 9))[newer][mono]
    return Frame(size, samples, hertz, 4 + side)


def _adts_size(header: bytes) -> int | None:
    if len(header) < ADTS_HEADER or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return size if size >= ADTS_HEADER and header[2] >> 2 & 15 < 13 else None


def counted_seconds(file: BinaryIO) -> float | None:
    """Return how long an MP3 is by the frames that its encoder counted (Xing, VBRI); else None."""
    file.seek(id3_end(file))
    content = file.read(4096)
    frame = read_frame(content)
    if frame is None:
        return None
    xing = content[frame.counted_at :]
    counted = b""
    if xing[:4] in {b"Xing", b"Info"} and len(xing) > 7:
        counted = xing[8:12] if xing[7] & 1 else b""
    elif content[36:40] == b"VBRI":
        counted = content[50:54]
    if len(counted) < 4:
        return None
    return int.from_bytes(counted, "big") * frame.samples / frame.rate


def tags_start(file: BinaryIO) -> int:
    """Return where the tags behind the sound begin; a decoder would read them as sound.

    They are ID3v1, APE, Lyrics3 and an ID3v2 at the end, in any order.
    """
    end = size_of(file)
    while (start := _last_tag(file, end)) is not None:
        end = start
    return end


def _last_tag(file: BinaryIO, end: int) -> int | None:
    """Return where the tag begins that ends at `end`; None without one."""
    at = max(0, end - 128)
    file.seek(at)
    tail = file.read(end - at)
    found: int | None = None
    if len(tail) == 128 and tail.startswith(b"TAG"):
        found = end - 128
    elif tail[-32:-24] == b"APETAGEX":
        size, _, flags = struct.unpack("<III", tail[-20:-8])
        found = end - size - (32 if flags & 0x80000000 else 0)
    elif tail.endswith(b"LYRICS200") and tail[-15:-9].isdigit():
        found = end - 15 - int(tail[-15:-9])
    elif tail.endswith(b"LYRICSEND"):
        at = max(0, end - 5100 - 20)
        file.seek(at)
        place = file.read(end - at).rfind(b"LYRICSBEGIN")
        found = at + place if place >= 0 else None
    elif tail[-10:-7] == b"3DI":
        found = end - 20 - _syncsafe(tail[-4:])
    return found if found is not None and 0 < found < end else None
