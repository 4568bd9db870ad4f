"""What is said of a file after its bytes were looked at, and how a worker says it."""

from enum import StrEnum
from typing import Annotated

import msgspec

# The longest side of a thumbnail, in pixels.
THUMBNAIL_SIDE = 320
# The most values that a waveform has; each is a whole number from 0 to 100.
WAVEFORM_VALUES = 100

# A worker may have been taken over by the file it looked at: what it says is checked.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Loudness = Annotated[int, msgspec.Meta(ge=0, le=100)]
Waveform = Annotated[list[Loudness], msgspec.Meta(min_length=1, max_length=WAVEFORM_VALUES)]
MediaType = Annotated[str, msgspec.Meta(pattern=r"^[a-z]+/[A-Za-z0-9.+-]{1,80}$")]


class FileKind(StrEnum):
    """What a file turned out to be."""

    IMAGE = "IMAGE"
    VOICE = "VOICE"
    FILE = "FILE"


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """worker → inspector: what the file is.

    `media_type` is one that browsers show only when a decoder took the file for it.
    """

    kind: FileKind
    media_type: MediaType = "application/octet-stream"
    width: Count | None = None
    height: Count | None = None
    duration_ms: Count | None = None
    waveform: Waveform | None = None
    rewritten: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """worker → inspector: why the file is not taken, in words for who sent it."""

    refused: Annotated[str, msgspec.Meta(max_length=200)]


class Failure(msgspec.Struct, frozen=True):
    """worker → inspector: it was not the file's fault, but ours; for the log."""

    failed: Annotated[str, msgspec.Meta(max_length=200)]


class Unreadable(Exception):
    """The file is not what its first bytes say, or more than may be decoded."""
