"""What the first bytes of a file say that it is, before any decoder reads it."""

from typing import BinaryIO

import filetype  # type: ignore[import-untyped]  # it publishes none

from media.facts import Facts, FileKind
from media.formats.frames import begins_with_frames, id3_end

HEAD_BYTES = 8192
# The types that browsers show: a decoder has to have read the file first.
SHOWN = ("image/", "audio/", "video/", "text/")
# The first bytes of a container, and FFmpeg's name of it.
BEGINNINGS = {
    b"OggS": "ogg",
    b"\x1aE\xdf\xa3": "matroska",
    b"fLaC": "flac",
    b"caff": "caf",
    b"#!AMR\n": "amr",
    b"#!AMR-WB\n": "amr",
}


def guess_type(file: BinaryIO) -> Facts:
    """Return a FILE's facts: the type that its first bytes say, unless browsers show that type."""
    file.seek(0)
    media_type: str | None = filetype.guess_mime(file.read(HEAD_BYTES))
    if media_type is None or media_type.startswith(SHOWN):
        return Facts(kind=FileKind.FILE)
    return Facts(kind=FileKind.FILE, media_type=media_type)


def sound_demuxer(file: BinaryIO) -> str | None:
    """Return FFmpeg's name of the container that the file seems to be; None for no sound."""
    file.seek(0)
    head = file.read(12)
    for beginning, demuxer in BEGINNINGS.items():
        if head.startswith(beginning):
            return demuxer
    if head[4:8] == b"ftyp":
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    # Any file may begin with two bytes that look like a frame; few hold two frames in a row.
    start = id3_end(file)
    file.seek(start)
    if file.read(4) == b"fLaC":
        return "flac"
    return begins_with_frames(file, start)
