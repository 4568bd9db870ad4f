"""Recordings as phones, browsers and editors leave them: with gaps, tags and sizes of their own."""

import io
import struct
from pathlib import Path

import av

from tests.support import files


def with_gap(content: bytes, container: str, *, gap: float, **options: str) -> bytes:
    """Return the recording again, its second half coming so many seconds later."""
    written = io.BytesIO()
    with (
        av.open(io.BytesIO(content), "r") as source,
        av.open(written, "w", format=container, options=options) as output,
    ):
        stream = source.streams.audio[0]
        copied = output.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.dts is not None]
        for number, packet in enumerate(packets):
            if number >= len(packets) // 2 and packet.pts is not None and packet.dts is not None:
                later = round(gap / packet.time_base)
                packet.pts, packet.dts = packet.pts + later, packet.dts + later
            packet.stream = copied
            output.mux(packet)
    return written.getvalue()


def phone_voice(
    container: str, codec: str, rate: int, *, seconds: float = 2, **options: str
) -> bytes:
    """Return a tone, recorded at this rate."""
    written = io.BytesIO()
    with av.open(written, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        resampler = av.AudioResampler(
            format=stream.format.name, layout="mono", rate=rate, frame_size=stream.frame_size or 160
        )
        for frame in files._frames(0, seconds):
            for fitting in resampler.resample(frame):
                output.mux(stream.encode(fitting))
        output.mux(stream.encode(None))
    return written.getvalue()


def bare_mp3(content: bytes) -> bytes:
    """Return an MP3 without the tag and the header frame that count how long it is."""
    size = content[6] << 21 | content[7] << 14 | content[8] << 7 | content[9]
    frames = content[10 + size :] if content[:3] == b"ID3" else content
    assert b"Xing" in frames[:200] or b"Info" in frames[:200]
    return frames[frames.index(b"\xff\xfb", 4) :]


def silent_mp3_with_checksums(frames: int = 100) -> bytes:
    """Return an MP3 (64 kbit/s, 48 kHz, mono) whose frames have a CRC each."""
    # ISO 11172-3, 2.4.3.1: the CRC is of the last two bytes of the header and the side information.
    header, side = b"\xff\xfa\x54\xc0", bytes(17)
    check = 0xFFFF
    for byte in header[2:] + side:
        for bit in range(7, -1, -1):
            carry = check >> 15 ^ byte >> bit & 1
            check = check << 1 & 0xFFFF ^ (0x8005 if carry else 0)
    return (header + check.to_bytes(2, "big") + side).ljust(192, b"\0") * frames


def ape_tag(picture: bytes) -> bytes:
    """Return an APEv2 tag with a cover in it, as it stands behind an MP3."""
    value = b"cover.jpg\0" + picture
    item = struct.pack("<II", len(value), 2) + b"Cover Art (Front)\0" + value
    size = len(item) + 32

    def edge(flags: int) -> bytes:
        return b"APETAGEX" + struct.pack("<IIII", 2000, size, 1, flags) + bytes(8)

    return edge(0xA0000000) + item + edge(0x80000000)


def lyrics_tag() -> bytes:
    """Return a Lyrics3 v2 tag."""
    fields = b"LYRICSBEGININD0000200LYR00020" + b"\xff\xfb\x90\xc0 la la la" * 2
    return fields + b"%06dLYRICS200" % len(fields)


def id3v1_tag() -> bytes:
    """Return an ID3v1 tag."""
    return b"TAG" + b"a song".ljust(125, b"\0")


def index_first(path: Path) -> bytes:
    """Return an MP4 again with its tables before its samples."""
    made = path.with_suffix(".first.mp4")
    with (
        av.open(path, "r") as source,
        av.open(made, "w", options={"movflags": "faststart"}) as output,
    ):
        copied = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = copied
                output.mux(packet)
    return made.read_bytes()


def without_sizes(content: bytes) -> bytes:
    """Return a WebM whose clusters do not know how large they are, as MediaRecorder writes it."""
    parts = content.split(b"\x1fC\xb6u")
    made = [parts[0]]
    for part in parts[1:]:
        width = 9 - part[0].bit_length()
        made.append((2 ** (7 * width + 1) - 1).to_bytes(width, "big") + part[width:])
    return b"\x1fC\xb6u".join(made)
