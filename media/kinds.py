"""What a file's first bytes say, before anything decodes it."""

from typing import BinaryIO

import filetype  # type: ignore[import-untyped]  # it publishes none

from media.facts import Facts, FileKind

HEAD_BYTES = 8192
# What browsers show: said only of what a decoder took for it.
SHOWN = ("image/", "audio/", "video/", "text/")


def guess_type(file: BinaryIO) -> Facts:
    """Return a FILE's facts: its type by its first bytes, never one that a browser would show."""
    file.seek(0)
    media_type: str | None = filetype.guess_mime(file.read(HEAD_BYTES))
    if media_type is None or media_type.startswith(SHOWN):
        return Facts(kind=FileKind.FILE)
    return Facts(kind=FileKind.FILE, media_type=media_type)


def sound_demuxer(head: bytes) -> str | None:
    """Return FFmpeg's name for the container that a file beginning like this may be."""
    if head.startswith(b"OggS"):
        return "ogg"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if head[4:8] == b"ftyp":
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head.startswith(b"ID3") or (
        head[:1] == b"\xff" and head[1:2] in {b"\xfb", b"\xf3", b"\xf2"}
    ):
        return "mp3"
    return None
