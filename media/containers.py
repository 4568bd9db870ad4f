"""What stands in an image's file beside its picture, found by walking the parts it is made of.

Only what is needed to show the picture may be there: anything else may tell of who took it. A
decoder's own report would not do: it leaves out what it does not know.
"""

import re
from collections.abc import Callable

PNG_CHUNKS = {
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT"),
    *(b"bKGD", b"hIST", b"pHYs", b"cICP", b"mDCV", b"cLLI", b"acTL", b"fcTL", b"fdAT"),
}
WEBP_CHUNKS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
WEBP_FRAME_HEADER = 16
GIF_LOOPS = {b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0"}
FRAME_OR_LOOP = {b"!\xf9", b"!\xff"}  # what extends a GIF: for the next frame, for all
AVIF_BOXES = {b"ftyp", b"meta", b"moov", b"mdat"}
# Where AVIF says what is in it, and the types of items and boxes that are no picture.
AVIF_DESCRIPTIONS = {b"meta", b"moov"}
AVIF_ASIDES = (b"Exif", b"mime", b"uri ", b"uuid", b"xml ", b"udta")

# JPEG's markers (ITU-T T.81, B.1.1.3): the frame and its tables; then the scan, the end.
JPEG_TABLES = {*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDD} - {0xC8}
SCAN, END = 0xDA, 0xD9
# Of the applications' segments: by marker, name and length, since a longer JFIF has a small
# picture in it.
JPEG_APPLICATIONS = {(0xE0, b"JFIF\0", 16), (0xEE, b"Adobe", 14)}
PROFILE_MARKER, PROFILE = 0xE2, b"ICC_PROFILE\0"
# Within a scan 0xFF is followed by 0, or by a restart.
AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]")


def has_only_the_picture(format_: str, content: bytes) -> bool:
    """Whether nothing is in the file, nor behind it, but a picture of this format of Pillow's.

    False too where that cannot be told.
    """
    walk = _WALKS.get(format_)
    try:
        return walk is not None and walk(content)
    except IndexError:  # it ends within a part
        return False


def _jpeg(content: bytes) -> bool:
    at = 2
    while content[at] == 0xFF:
        marker = content[at + 1]
        if marker == END:
            return at + 2 == len(content)
        size = int.from_bytes(content[at + 2 : at + 4], "big")
        if not (
            marker in JPEG_TABLES
            or (marker, content[at + 4 : at + 9], size) in JPEG_APPLICATIONS
            or (marker == PROFILE_MARKER and content.startswith(PROFILE, at + 4))
        ):
            return False
        at += 2 + size
        if marker == SCAN:
            following = AFTER_SCAN.search(content, at)
            if following is None:
                return False
            at = following.start()
    return False


def _png(content: bytes) -> bool:
    at = 8
    while content[at : at + 1]:
        name = content[at + 4 : at + 8]
        if name not in PNG_CHUNKS:
            return False
        at += 12 + int.from_bytes(content[at : at + 4], "big")
        if name == b"IEND":
            return at == len(content)
    return False


def _gif(content: bytes) -> bool:
    at = 13 + _gif_colours(content[10])
    while content[at] != ord(";"):
        if content[at] == ord(","):
            at += 11 + _gif_colours(content[at + 9])
        elif content[at : at + 2] in FRAME_OR_LOOP and (
            content[at + 1] == 0xF9 or content[at + 2 : at + 14] in GIF_LOOPS
        ):
            at += 2
        else:
            return False
        while content[at]:
            at += 1 + content[at]
        at += 1
    return at + 1 == len(content)


def _gif_colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(content: bytes) -> bool:
    return int.from_bytes(content[4:8], "little") + 8 == len(content) and _riff(content, 12)


def _riff(content: bytes, at: int) -> bool:
    while at < len(content):
        name = content[at : at + 4]
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if name not in WEBP_CHUNKS:
            return False
        inside = content[at + 8 : at + 8 + size]
        if name == b"ANMF" and not _riff(inside, WEBP_FRAME_HEADER):
            return False
        at += 8 + size + size % 2
    return at == len(content)


def _avif(content: bytes) -> bool:
    at = 0
    left = set(AVIF_BOXES)
    while at < len(content):
        size, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if name not in left or size < 8:
            return False
        left.remove(name)
        described = content[at : at + size] if name in AVIF_DESCRIPTIONS else b""
        if any(aside in described for aside in AVIF_ASIDES):
            return False
        at += size
    return at == len(content)


_WALKS: dict[str, Callable[[bytes], bool]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _webp,
    "AVIF": _avif,
}
