"""JPEG (ITU-T T.81): its segments. Only those of the picture are kept."""

import re

from media.formats.stripping import Damaged, Stripped, orientation_alone

# The frame and its tables (B.1.1.3); 0xC8 is reserved.
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
TABLES = {0xC4, 0xCC, 0xDB, 0xDC, 0xDD, *FRAMES}
PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
END, SCAN, EXIF = 0xD9, 0xDA, 0xE1
# Markers without a length.
BARE = {0x00, 0x01, 0xFF, *range(0xD0, 0xD9)}
PROFILE_MARKER, PROFILE = 0xE2, b"ICC_PROFILE\0"
JFIF_MARKER, JFIF, JFIF_BYTES = 0xE0, b"JFIF\0", 12  # behind them stands a thumbnail
ADOBE_MARKER, ADOBE, ADOBE_BYTES = 0xEE, b"Adobe", 12  # it says how colours are stored
EXIF_NAME = b"Exif\0\0"
# Within a scan 0xFF is followed by 0, by a restart, or by more of the same.
AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
COEFFICIENTS = 64


def strip(content: bytes) -> Stripped:
    """Return the JPEG with its picture and its colour profile alone. Raises Damaged.

    Dropped: EXIF, XMP, IPTC, comments, thumbnails, makers' notes, and any bytes behind the end,
    such as further pictures and films.
    """
    kept = [b"\xff\xd8"]
    exif, size, ended = b"", None, False
    # Of a progressive picture: up to which bit each coefficient of each component is there.
    coverage: dict[tuple[int, int], int] = {}
    components: list[int] = []
    at = 2
    while not ended and (found := _next_marker(content, at)) is not None:
        at, marker = found
        if marker == END:
            ended = True
            continue
        length = int.from_bytes(content[at : at + 2], "big")
        body = content[at + 2 : at + length]
        if length < 2 or at + length > len(content):
            break  # a segment was cut off; a missing scan is noticed below
        at += length
        if marker in FRAMES and size is None:
            size = _size(body)
            components = [*body[6::3]] if marker in PROGRESSIVE else []
        if marker == EXIF and body.startswith(EXIF_NAME):
            exif = exif or body
        kept.append(_cleaned(marker, body))
        if marker == SCAN:
            _cover(coverage, body)
            following = AFTER_SCAN.search(content, at)
            end = following.start() if following is not None else len(content)
            kept.append(content[at:end])
            at = end
    if size is None or not coverage or (not ended and _is_unfinished(coverage, components)):
        raise Damaged
    whole = b"".join(kept)
    whole = whole if ended else whole.removesuffix(b"\xff")
    return Stripped(whole + b"\xff\xd9", *size, exif=exif, lossless=False, open_end=not ended)


def _next_marker(content: bytes, at: int) -> tuple[int, int] | None:
    """Return where the content of the next marker begins, and the marker."""
    while True:
        at = content.find(b"\xff", at)  # decoders skip bytes between segments
        if at < 0 or at + 1 >= len(content):
            return None
        marker = content[at + 1]
        if marker not in BARE:
            return at + 2, marker
        at += 1 if marker == 0xFF else 2


def _size(body: bytes) -> tuple[int, int]:
    if len(body) < 6:
        raise Damaged
    return int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")


def _cleaned(marker: int, body: bytes) -> bytes:
    """Return the bytes that are kept of a segment: all, a part, or none."""
    if marker == JFIF_MARKER and body.startswith(JFIF) and len(body) >= JFIF_BYTES:
        body = body[:JFIF_BYTES] + bytes(2)
    elif marker == ADOBE_MARKER and body.startswith(ADOBE):
        body = body[:ADOBE_BYTES]
    elif marker not in TABLES | {SCAN} and not (
        marker == PROFILE_MARKER and body.startswith(PROFILE)
    ):
        return b""
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def _cover(coverage: dict[tuple[int, int], int], scan: bytes) -> None:
    """Record up to which bit a scan brings its components' coefficients (G.1.1.1)."""
    count = scan[0] if scan else 0
    if len(scan) < 4 + 2 * count:
        raise Damaged
    first, last, bits = scan[1 + 2 * count : 4 + 2 * count]
    for component in scan[1 : 1 + 2 * count : 2]:
        for coefficient in range(first, min(last, COEFFICIENTS - 1) + 1):
            coverage[component, coefficient] = bits & 15


def _is_unfinished(coverage: dict[tuple[int, int], int], components: list[int]) -> bool:
    return any(
        coverage.get((component, coefficient)) != 0
        for component in components
        for coefficient in range(COEFFICIENTS)
    )


def with_orientation(content: bytes, orientation: int) -> bytes:
    """Return a stripped JPEG with EXIF that tells the orientation, and nothing else."""
    body = EXIF_NAME + orientation_alone(orientation)
    segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    # JFIF has to stay the first segment.
    at = 4 + int.from_bytes(content[4:6], "big") if content[3] == JFIF_MARKER else 2
    return content[:at] + segment + content[at:]
