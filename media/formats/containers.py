"""Which kind of image a file is, and the file without anything but its picture.

Decoders would do neither: they leave out what they do not know, and refuse what browsers show.
"""

from collections.abc import Callable

from media.formats import gif, jpeg, png, webp
from media.formats.avif import strip_avif
from media.formats.stripping import Stripped

AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
HEAD_BYTES = 256  # enough for the brands that a file names

_STRIP: dict[str, Callable[[bytes], Stripped]] = {
    "JPEG": jpeg.strip_jpeg,
    "PNG": png.strip_png,
    "GIF": gif.strip_gif,
    "WEBP": webp.strip_webp,
    "AVIF": strip_avif,
}
_WITH_ORIENTATION: dict[str, Callable[[bytes, int], bytes]] = {
    "JPEG": jpeg.with_orientation,
    "PNG": png.with_orientation,
    "WEBP": webp.with_orientation,
}


def image_format(head: bytes) -> str | None:
    """Return Pillow's name of the format of a file that begins so; None when it is no image."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(png.SIGNATURE):
        return "PNG"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        size = int.from_bytes(head[:4], "big")
        brands = {head[at : at + 4] for at in range(8, min(size, len(head)), 4) if at != 12}
        # Files of both kinds may say only in a later brand which one they are.
        if head[8:12] in AVIF_BRANDS | HEIC_BRANDS:
            return "AVIF" if brands & AVIF_BRANDS else "HEIF"
    return None


def strip(format_: str, content: bytes) -> Stripped:
    """Return the file without anything but its picture. Raises Unreadable."""
    return _STRIP[format_](content)


def with_orientation(format_: str, content: bytes, orientation: int) -> bytes:
    """Return a stripped file that says how its picture is meant to be seen, and nothing else."""
    return _WITH_ORIENTATION[format_](content, orientation)
