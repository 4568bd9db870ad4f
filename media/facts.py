"""What is said of a file after its bytes were looked at, and how a worker says it."""

from enum import StrEnum

import msgspec

# The longest side of a thumbnail, in pixels.
THUMBNAIL_SIDE = 320
# The most values that a waveform has; each is a whole number from 0 to 100.
WAVEFORM_VALUES = 100


class FileKind(StrEnum):
    """What a file turned out to be."""

    IMAGE = "IMAGE"
    VOICE = "VOICE"
    FILE = "FILE"


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """worker → inspector: what the file is.

    `media_type` is one that a browser may be shown only when the bytes were decoded as it.
    `suffix` is set when the file was rewritten in another format.
    """

    kind: FileKind
    media_type: str = "application/octet-stream"
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    waveform: list[int] | None = None
    rewritten: bool = False
    suffix: str | None = None


class Refusal(msgspec.Struct, frozen=True):
    """worker → inspector: why the file is not taken, in words for who sent it."""

    refused: str


class Unreadable(Exception):
    """The file is not what its first bytes say, or more than may be decoded."""
