"""What a worker answers about the file that it inspected."""

from enum import StrEnum
from typing import Annotated

import msgspec

# The longest side of a thumbnail, in pixels.
THUMBNAIL_SIDE = 320
# The sides of the two square pictures that are made of a profile's picture.
LARGE_SIDE = 256
SMALL_SIDE = 64
# A waveform has so many values at most; each is a whole number from 0 to 100.
WAVEFORM_VALUES = 100

# A hostile file may have taken over its worker: each value of the answer has bounds.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Loudness = Annotated[int, msgspec.Meta(ge=0, le=100)]
Waveform = Annotated[list[Loudness], msgspec.Meta(min_length=1, max_length=WAVEFORM_VALUES)]
MediaType = Annotated[str, msgspec.Meta(pattern=r"^[a-z]+/[A-Za-z0-9.+-]{1,80}$")]


class FileKind(StrEnum):
    """What kind of file its bytes are."""

    IMAGE = "IMAGE"
    VOICE = "VOICE"
    FILE = "FILE"


class Facts(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """worker → inspector: what the file is.

    `media_type` is a type that browsers show only when a decoder has read the file as that type.
    """

    kind: FileKind
    media_type: MediaType = "application/octet-stream"
    width: Count | None = None
    height: Count | None = None
    duration_ms: Count | None = None
    waveform: Waveform | None = None
    rewritten: bool = False


class Squares(msgspec.Struct, frozen=True, tag=True):
    """worker → inspector: the sizes of the two square pictures that follow, in bytes."""

    large: Count
    small: Count


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """worker → inspector: why the file is refused, in words for the sender."""

    refused: Annotated[str, msgspec.Meta(max_length=200)]


class Failure(msgspec.Struct, frozen=True, tag=True):
    """worker → inspector: the server's own fault, in words for the log."""

    failed: Annotated[str, msgspec.Meta(max_length=200)]


Answer = Facts | Squares | Refusal | Failure


class Unreadable(Exception):
    """The file is not what its first bytes say, or larger than a worker may decode."""
