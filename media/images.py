"""Images: what they are, stripped to the picture and upright, and a thumbnail of each."""

import copy
import io
from typing import Any, BinaryIO

# Every plugin that may be needed: a contained worker can import nothing more.
from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    ImageChops,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from media.facts import (
    LARGE_SIDE,
    SMALL_SIDE,
    THUMBNAIL_SIDE,
    Facts,
    FileKind,
    Squares,
    Unreadable,
)
from media.formats import png
from media.formats.containers import HEAD_BYTES, STRIP, WITH_ORIENTATION, image_format
from media.formats.stripping import ORIENTATION, Damaged, Inseparable, Stripped

# Pillow uses these imports by itself (`copy` when it reads a GIF): named here so that they stay.
LOADED = (AvifImagePlugin, GifImagePlugin, TiffImagePlugin, WebPImagePlugin, copy)

MILLION = 1_000_000
# An image of more pixels is not decoded: a pixel takes 4 bytes, and turning an image takes it
# twice, which fits the worker's memory. A JPEG is decoded at a part of its size, and may have more.
MAX_PIXELS = 64 * MILLION
LARGE_PIXELS = 24 * MILLION  # from here on, an image is kept where memory is too short to decode it
# An image of more pixels is refused: viewers do decode it whole.
MAX_KEPT_PIXELS = 256 * MILLION
# The same for all frames of an animation together.
MAX_ANIMATION_PIXELS = 1000 * MILLION
# An image of more pixels keeps its orientation as EXIF, alone: to write it turned takes too long.
# AVIF says in its container how it is turned, which browsers follow.
MAX_TURNED_PIXELS = {"JPEG": MAX_PIXELS, "PNG": 6 * MILLION, "WEBP": 12 * MILLION}
MAX_LOSSLESS_WEBP_PIXELS = 2 * MILLION

# EXIF's orientations (EXIF 2.3, 4.6.4), and how a picture is turned upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = {5, 6, 7, 8}  # width and height change places

QUALITY = 90  # of a JPEG or WebP that is written anew
MAX_WEBP_SIDE = 16_383
MAX_THUMBNAIL_PROFILE = 64 * 1024
# A JPEG without an end may lack its last block of pixels, and what is drawn from that block.
LAST_BLOCK = (40, 20)
FILLS = (b"\0", b"\xaa")

Image.MAX_IMAGE_PIXELS = None  # _check_pixels comes before Pillow opens anything
Image.preinit()
Image._initialized = 2  # Pillow looks for no other plugin
ImageFile.LOAD_TRUNCATED_IMAGES = False
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
PngImagePlugin.MAX_TEXT_CHUNK = png.MAX_PROFILE_BYTES  # Pillow bounds profiles by it too


def needs_heif(head: bytes) -> bool:
    """Whether a file that begins like this may be HEIC, whose decoder is loaded for it alone."""
    return image_format(head) == "HEIF"


def inspect_image(file: BinaryIO, *, heif: bool) -> tuple[Facts, bytes] | None:
    """Return what the image is, and its thumbnail (WebP); None when the file is no image.

    The file is rewritten in place when it holds more than its picture, when it does not stand
    upright, and when it is HEIC. A picture that is too large to decode has an empty thumbnail.
    Raises Unreadable.
    """
    file.seek(0)
    format_ = image_format(file.read(HEAD_BYTES))
    if format_ is None:
        return None
    if format_ == "HEIF":
        return _convert(file) if heif else None
    file.seek(0)
    content = file.read()
    stripped = STRIP[format_](content)
    if STRIP[format_](stripped.content).content != stripped.content:
        raise Inseparable
    _check_pixels(stripped)
    turn = _orientation(stripped.exif) if format_ != "AVIF" else None
    made, size, thumbnail = _keep(format_, stripped, turn)
    if made != content:
        _write(file, made)
    return _facts(format_, size, rewritten=made != content), thumbnail


def make_squares(file: BinaryIO) -> tuple[Squares, bytes]:
    """Return the middle of an image in two square sizes (WebP), the larger one first.

    A small image is not made larger. Raises Unreadable, also for a picture that is too large to
    decode.
    """
    file.seek(0)
    content = file.read()
    format_ = image_format(content[:HEAD_BYTES])
    if format_ not in STRIP:
        raise Unreadable("The file is no picture that a profile can have")
    stripped = STRIP[format_](content)
    _check_pixels(stripped)
    if format_ == "JPEG":
        image = _reduced(stripped.content, LARGE_SIDE)
    elif stripped.width * stripped.height > MAX_PIXELS:
        raise Unreadable(f"The image has more than {MAX_PIXELS // MILLION} million pixels")
    else:
        image = _open(format_, stripped.content)
        image.load()
    exif = image.getexif().get(ORIENTATION) if format_ == "AVIF" else _orientation(stripped.exif)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    info = image.info
    square = image.crop((left, top, left + side, top + side))
    square.info = {key: info[key] for key in ("transparency", "icc_profile") if key in info}
    del image
    # The small one first: the picture is changed.
    small = _thumbnail(square.copy(), exif, SMALL_SIDE)
    large = _thumbnail(square, exif, LARGE_SIDE)
    return Squares(len(large), len(small)), large + small


def _facts(format_: str, size: tuple[int, int], *, rewritten: bool) -> Facts:
    width, height = size
    media_type = f"image/{format_.lower()}"
    return Facts(FileKind.IMAGE, media_type, width, height, rewritten=rewritten)


def _check_pixels(stripped: Stripped) -> None:
    pixels = stripped.width * stripped.height
    if not pixels:
        raise Damaged
    if pixels > MAX_KEPT_PIXELS:
        raise Unreadable(f"The image has more than {MAX_KEPT_PIXELS // MILLION} million pixels")
    if stripped.frames > 1 and pixels * stripped.frames > MAX_ANIMATION_PIXELS:
        raise Unreadable("The animation is too large")


def _orientation(exif: bytes) -> int | None:
    """Return EXIF's orientation when the image does not stand upright."""
    read = Image.Exif()
    try:
        read.load(exif)
        orientation = read.get(ORIENTATION, 1)
    except Exception:  # damaged EXIF is dropped like all EXIF
        return None
    return orientation if orientation in TURNS else None


def _keep(
    format_: str, stripped: Stripped, turn: int | None
) -> tuple[bytes, tuple[int, int], bytes]:
    """Return the file to keep, the size at which it is shown, and its thumbnail."""
    if stripped.open_end and _is_missing(stripped.content):
        raise Damaged
    size = (stripped.width, stripped.height)
    if turn is None:
        return stripped.content, size, _thumbnail_of(format_, stripped, turn)
    shown = size[::-1] if turn in SIDEWAYS else size
    limit = MAX_TURNED_PIXELS[format_]
    if format_ == "WEBP" and stripped.lossless:
        limit = MAX_LOSSLESS_WEBP_PIXELS
    small_enough = size[0] * size[1] <= limit
    deep = format_ == "PNG" and png.is_deep(stripped.content)
    if small_enough and stripped.frames == 1 and not deep:
        made, upright = _turned(format_, stripped, TURNS[turn])
        return STRIP[format_](made).content, shown, _thumbnail(upright)
    made = WITH_ORIENTATION[format_](stripped.content, turn)
    return made, shown, _thumbnail_of(format_, stripped, turn)


def _open(format_: str, content: bytes) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(content), formats=(format_,))
    except UnidentifiedImageError:
        raise Damaged from None


def _reduced(content: bytes, side: int = THUMBNAIL_SIDE) -> ImageFile.ImageFile:
    """Return a JPEG decoded to about the size of its thumbnail: it reads all, and decodes less."""
    image = _open("JPEG", content)
    image.draft(image.mode, (2 * side, 2 * side))
    image.load()
    return image


def _thumbnail_of(format_: str, stripped: Stripped, turn: int | None) -> bytes:
    """Return the thumbnail; b"" for a picture that is too large to decode."""
    if format_ == "JPEG":
        return _thumbnail(_reduced(stripped.content), turn)
    pixels = stripped.width * stripped.height
    if pixels > MAX_PIXELS:
        return b""
    try:
        image = _open(format_, stripped.content)
        image.load()
        if format_ == "AVIF":  # Pillow reports the container's turn as EXIF
            turn = image.getexif().get(ORIENTATION)
        return _thumbnail(image, turn)
    except MemoryError:
        if pixels < LARGE_PIXELS:
            raise
        return b""  # the file is sound: libwebp alone wants up to 16 bytes a pixel


def _is_missing(content: bytes) -> bool:
    """Whether a JPEG without an end lacks a part of its picture.

    The picture is decoded twice, with different bytes after its last one: where a part is missing,
    the two pictures differ.
    """
    one, other = (_reduced(content[:-2] + fill * 4096 + content[-2:]) for fill in FILLS)
    box = ImageChops.difference(one, other).getbbox()
    if box is None:
        return False
    across, down = LAST_BLOCK
    small = one.width < 4 * across or one.height < 4 * down
    return small or box[0] < one.width - across or box[1] < one.height - down


def _turned(format_: str, stripped: Stripped, turn: Image.Transpose) -> tuple[bytes, Image.Image]:
    """Return the picture turned, as a file of the same format and quality, and decoded."""
    image = _open(format_, stripped.content)
    image.load()
    options: dict[str, Any] = {}
    if profile := image.info.get("icc_profile"):
        options["icc_profile"] = profile
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        # With the same tables, next to nothing is lost by encoding it again.
        options["qtables"] = image.quantization
        options["subsampling"] = JpegImagePlugin.get_sampling(image)
    elif format_ == "WEBP":
        options["quality"] = QUALITY
        if stripped.lossless:
            options |= {"lossless": True, "exact": True, "method": 2}
    upright = image.transpose(turn)
    upright.info = {
        key: image.info[key] for key in ("transparency", "icc_profile") if key in image.info
    }
    del image  # two such pictures fit the worker's memory, three do not
    written = io.BytesIO()
    upright.save(written, format_, **options)
    made = written.getvalue()
    if format_ == "PNG":
        made = png.with_colours(made, stripped.content)
    return made, upright


def _convert(file: BinaryIO) -> tuple[Facts, bytes]:
    """Rewrite a HEIC, which hardly a browser shows, as JPEG; with transparency as WebP or PNG."""
    file.seek(0)
    try:
        image: Image.Image = Image.open(file, formats=("HEIF",))
    except UnidentifiedImageError:
        raise Damaged from None
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable(f"The image has more than {MAX_PIXELS // MILLION} million pixels")
    image.load()
    turn = image.getexif().get(ORIENTATION, 1)
    options = {"icc_profile": image.info.get("icc_profile")}
    upright = image.transpose(TURNS[turn]) if turn in TURNS else image
    upright.info = {key: value for key, value in options.items() if value}
    alpha = upright.getchannel("A").getextrema() if upright.mode in {"RGBA", "LA"} else (255, 255)
    opaque = alpha == (255, 255)
    upright = upright.convert("RGB" if opaque else "RGBA")
    format_ = "JPEG" if opaque else "WEBP" if max(upright.size) <= MAX_WEBP_SIDE else "PNG"
    written = io.BytesIO()
    upright.save(written, format_, exif=b"", quality=QUALITY, **options)  # PNG has no quality
    _write(file, STRIP[format_](written.getvalue()).content)
    return _facts(format_, upright.size, rewritten=True), _thumbnail(upright)


def _write(file: BinaryIO, content: bytes) -> None:
    file.seek(0)
    file.truncate()
    file.write(content)
    file.flush()


def _thumbnail(image: Image.Image, turn: int | None = None, side: int = THUMBNAIL_SIDE) -> bytes:
    """Return a thumbnail of an image; the image itself is changed."""
    if image.mode.startswith(("I", "F")):  # 16 bits and more a pixel
        image = image.convert("I").point(lambda value: value * (1 / 256) + 0).convert("L")
    opaque = image.mode in {"L", "RGB", "CMYK", "YCbCr", "1"} and "transparency" not in image.info
    profile = image.info.get("icc_profile") if image.mode == "RGB" else None
    if profile and len(profile) > MAX_THUMBNAIL_PROFILE:
        profile = None
    mode = "RGB" if opaque else "RGBA"
    # Without a copy where possible: two large pictures do not fit the worker's memory.
    small = image if image.mode == mode and not image.readonly else image.convert(mode)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    # A copy, since Pillow would look on the disk for the file of an image that was read from one.
    small = small.transpose(TURNS[turn]) if turn in TURNS else small.copy()
    written = io.BytesIO()
    small.save(written, "WEBP", quality=75, icc_profile=profile or b"", exif=b"", xmp=b"")
    return written.getvalue()
