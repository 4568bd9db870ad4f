"""Which format an image has, and its file stripped to the picture.

To decode and encode again would not do: it loses quality, and refuses files that browsers show.
"""

from collections.abc import Callable

from media.formats import avif, gif, jpeg, png, webp
from media.formats.stripping import Stripped

AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
HEAD_BYTES = 256  # enough for the brands that an ISO file names

# Return the file with its picture, colours and frames alone. Each raises Unreadable.
STRIP: dict[str, Callable[[bytes], Stripped]] = {
    "JPEG": jpeg.strip,
    "PNG": png.strip,
    "GIF": gif.strip,
    "WEBP": webp.strip,
    "AVIF": avif.strip,
}
# Return a stripped file with EXIF that tells the orientation, and nothing else.
WITH_ORIENTATION: dict[str, Callable[[bytes, int], bytes]] = {
    "JPEG": jpeg.with_orientation,
    "PNG": png.with_orientation,
    "WEBP": webp.with_orientation,
}


def image_format(head: bytes) -> str | None:
    """Return Pillow's name of the format of a file with these first bytes; None for no image."""
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
        # The first brand may be one of both formats: then a later one tells which it is.
        if head[8:12] in AVIF_BRANDS | HEIC_BRANDS:
            return "AVIF" if brands & AVIF_BRANDS else "HEIF"
    return None
