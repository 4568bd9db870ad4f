"""What all image formats share when a file is stripped of everything but its picture."""

from typing import NamedTuple

from media.facts import Unreadable

ORIENTATION = 0x0112  # EXIF's tag (EXIF 2.3, 4.6.4)


class Damaged(Unreadable):
    """A part of the picture itself is missing."""

    def __init__(self) -> None:
        super().__init__("The image is damaged or cut short")


class Inseparable(Unreadable):
    """The file holds more than its picture, in a way that no part can be cut out."""

    def __init__(self) -> None:
        super().__init__("The image holds what cannot be taken out of it")


class Stripped(NamedTuple):
    """An image's file with its picture alone; the bytes of the picture are untouched.

    `exif` is the EXIF that was dropped. With `open_end` the file did not say where its picture
    ends: a decoder has to tell whether it is whole.
    """

    content: bytes
    width: int
    height: int
    frames: int = 1
    exif: bytes = b""
    lossless: bool = True
    open_end: bool = False


def orientation_alone(orientation: int) -> bytes:
    """Return EXIF (little-endian TIFF) with one tag, the orientation."""
    tag = ORIENTATION.to_bytes(2, "little") + b"\3\0\1\0\0\0" + bytes((orientation, 0, 0, 0))
    return b"II*\0\x08\0\0\0\1\0" + tag + bytes(4)
