"""What every kind of image file has in common when it is stripped of all but its picture."""

from typing import NamedTuple

from media.facts import Unreadable

# Little-endian TIFF with one tag, EXIF's orientation (EXIF 2.3, 4.6.4): a picture that is not
# turned itself says alone how it is meant to be seen.
ORIENTATION = 0x0112


class Damaged(Unreadable):
    """Something is missing of the picture itself."""

    def __init__(self) -> None:
        super().__init__("The image is damaged or cut short")


class Stripped(NamedTuple):
    """An image's file without what is not needed to show it; the picture's bytes are untouched.

    `exif` is what the camera told. `open_end` says that the file did not tell where its picture
    ends, so that a decoder has to say whether all of it is there.
    """

    content: bytes
    width: int
    height: int
    frames: int = 1
    exif: bytes = b""
    lossless: bool = True
    open_end: bool = False


def orientation_alone(orientation: int) -> bytes:
    """Return EXIF that tells the orientation and nothing else."""
    tag = ORIENTATION.to_bytes(2, "little") + b"\3\0\1\0\0\0" + bytes((orientation, 0, 0, 0))
    return b"II*\0\x08\0\0\0\1\0" + tag + bytes(4)
