"""What a file's first bytes say, before anything decodes it."""

from typing import BinaryIO

import filetype  # type: ignore[import-untyped]  # it publishes none

from media.facts import Facts, FileKind
from media.formats.frames import begins_with_frames, id3_end

HEAD_BYTES = 8192
# What browsers show: said only of what a decoder took for it.
SHOWN = ("image/", "audio/", "video/", "text/")
# FFmpeg's names of the containers, by how a file begins.
BEGINNINGS = {
    b"OggS": "ogg",
    b"\x1aE\xdf\xa3": "matroska",
    b"fLaC": "flac",
    b"caff": "caf",
    b"#!AMR\n": "amr",
    b"#!AMR-WB\n": "amr",
}


def guess_type(file: BinaryIO) -> Facts:
    """Return a FILE's facts: its type by its first bytes, never one that a browser would show."""
    file.seek(0)
    media_type: str | None = filetype.guess_mime(file.read(HEAD_BYTES))
    if media_type is None or media_type.startswith(SHOWN):
        return Facts(kind=FileKind.FILE)
    return Facts(kind=FileKind.FILE, media_type=media_type)


def sound_demuxer(file: BinaryIO) -> str | None:
    """Return FFmpeg's name for the container that the file may be."""
    file.seek(0)
    head = file.read(12)
    for beginning, demuxer in BEGINNINGS.items():
        if head.startswith(beginning):
            return demuxer
    if head[4:8] == b"ftyp":
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    # Two bytes of any file may look like the start of a frame: two frames in a row do not.
    start = id3_end(file)
    file.seek(start)
    if file.read(4) == b"fLaC":
        return "flac"
    return begins_with_frames(file, start)
