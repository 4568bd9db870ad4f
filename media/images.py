"""Images: what they are, upright, with nothing in them but the picture, and a thumbnail."""

import copy
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

# Every plugin that may be needed: later, the worker can open no file any more.
from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    ImageOps,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from media.containers import has_only_the_picture
from media.facts import THUMBNAIL_SIDE, Facts, FileKind, Unreadable

# Imported above, or as `copy` by Pillow when it reads a GIF: named here so that it stays.
LOADED = (AvifImagePlugin, GifImagePlugin, MpoImagePlugin, PngImagePlugin, WebPImagePlugin, copy)

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # a JPEG with others behind it, as many phones write
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "HEIF": "image/jpeg",  # what it is rewritten as: hardly a browser shows HEIC
}
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF")
# How each begins, but for those that are told by what follows.
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

# A pixel takes 4 bytes, and turning an image takes it twice: this fits the worker's memory.
MAX_PIXELS = 64_000_000
TOO_MANY_PIXELS = f"The image has more than {MAX_PIXELS // 1_000_000} million pixels"
# All frames of an animation together: what a viewer has to decode to show it once.
MAX_ANIMATION_PIXELS = 1_000_000_000

ORIENTATION = 0x0112  # EXIF's tag
JPEG_QUALITY = 90
WEBP_QUALITY = 90
AVIF_QUALITY = 80
AVIF_SPEED = 9  # of 10: slower ones take a phone's picture longer than anyone waits
DEFAULT_FRAME_MS = 100

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
Image.preinit()
Image._initialized = 2  # no plugin but these is ever looked for
ImageFile.LOAD_TRUNCATED_IMAGES = False
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def needs_heif(head: bytes) -> bool:
    """Whether a file that begins like this may be HEIC, whose decoder is loaded for it alone."""
    return head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS


def inspect_image(file: BinaryIO, *, heif: bool) -> tuple[Facts, bytes] | None:
    """Return what the image is, and its thumbnail (WebP); None when the file is no image.

    The file is rewritten in place when something has to be taken out of it, when it has to be
    turned upright, and when it is HEIC. Raises Unreadable.
    """
    image = _open(file, heif=heif)
    if image is None:
        return None
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable(TOO_MANY_PIXELS)
    frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
    if image.width * image.height * frames > MAX_ANIMATION_PIXELS:
        raise Unreadable("The animation is too large")
    format_ = image.format or ""
    turn = _turn_of(image)
    file.seek(0)
    kept = turn is None and has_only_the_picture(format_, file.read())
    image.seek(0)
    image.load()
    upright = _upright(image, turn)
    thumbnail = _thumbnail(upright)
    if not kept:
        written = _encode(image, upright, turn, frames)
        if not has_only_the_picture(_written_format(image), written):
            raise Unreadable("The image holds what cannot be taken out of it")
        file.seek(0)
        file.truncate()
        file.write(written)
        file.flush()
    facts = Facts(
        kind=FileKind.IMAGE,
        media_type=MEDIA_TYPES[format_],
        width=upright.width,
        height=upright.height,
        rewritten=not kept,
    )
    return facts, thumbnail


def _open(file: BinaryIO, *, heif: bool) -> ImageFile.ImageFile | None:
    file.seek(0)
    try:
        return Image.open(file, formats=("AVIF", "HEIF") if heif else FORMATS)
    except UnidentifiedImageError:
        if _begins_as_one(file):
            raise Unreadable("The image is damaged or cut short") from None
        return None
    except Image.DecompressionBombError:
        raise Unreadable(TOO_MANY_PIXELS) from None


def _begins_as_one(file: BinaryIO) -> bool:
    file.seek(0)
    head = file.read(12)
    return (
        head.startswith(BEGINNINGS)
        or (head[:4] == b"RIFF" and head[8:] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:] in AVIF_BRANDS | HEIC_BRANDS)
    )


def _turn_of(image: ImageFile.ImageFile) -> int | None:
    """Return EXIF's orientation when the image does not stand upright."""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # EXIF that cannot be read goes out with the rest of it
        return None
    return orientation if orientation in range(2, 9) else None


def _upright(image: Image.Image, turn: int | None) -> Image.Image:
    if turn is None:
        return image
    turned = image.copy()
    turned.info = {key: image.info[key] for key in ("icc_profile",) if key in image.info}
    turned.getexif().clear()
    turned.getexif()[ORIENTATION] = turn
    return ImageOps.exif_transpose(turned)


def _written_format(image: ImageFile.ImageFile) -> str:
    return "JPEG" if image.format in {"JPEG", "MPO", "HEIF"} else image.format or ""


def _encode(
    image: ImageFile.ImageFile, upright: Image.Image, turn: int | None, frames: int
) -> bytes:
    """Return the picture anew, in its own format, with nothing but its colours' profile."""
    written = io.BytesIO()
    format_ = _written_format(image)
    profile = image.info.get("icc_profile")
    options: dict[str, Any] = {}
    if profile and format_ != "GIF":
        options["icc_profile"] = profile
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        # With the tables it was made with, next to nothing is lost by doing it again.
        options["qtables"] = image.quantization
        options["subsampling"] = JpegImagePlugin.get_sampling(image)
    elif format_ == "JPEG":
        upright, options["quality"] = upright.convert("RGB"), JPEG_QUALITY
    elif format_ == "WEBP":
        options["quality"] = WEBP_QUALITY
    elif format_ == "AVIF":
        options |= {"quality": AVIF_QUALITY, "speed": AVIF_SPEED}
    if frames > 1:
        loop = image.info.get("loop")
        options |= {"save_all": True} | _pace(image, frames)
        options |= {} if loop is None else {"loop": loop}
        rest = _Frames(image, frames, turn)
        _frame(image, 0, turn).save(written, format_, append_images=rest, **options)
    else:
        _bare(upright).save(written, format_, **options)
    return written.getvalue()


def _pace(image: ImageFile.ImageFile, frames: int) -> dict[str, Any]:
    """Return how long each frame is shown, and what becomes of it."""
    durations = []
    disposed = False
    for number in range(frames):
        image.seek(number)
        image.load()  # WebP and AVIF tell the duration only then
        durations.append(int(image.info.get("duration", DEFAULT_FRAME_MS)))
        disposed = disposed or getattr(image, "disposal_method", 0) > 1
    # Every frame is drawn whole: what is clear again in one must not stay from the last.
    return {"duration": durations} | ({"disposal": 2} if disposed else {})


class _Frames:
    """The frames after the first, one at a time, as often as an encoder goes through them."""

    def __init__(self, image: ImageFile.ImageFile, frames: int, turn: int | None) -> None:
        self._image = image
        self._frames = frames
        self._turn = turn

    def __iter__(self) -> Iterator[Image.Image]:
        for number in range(1, self._frames):
            yield _frame(self._image, number, self._turn)


def _frame(image: ImageFile.ImageFile, number: int, turn: int | None) -> Image.Image:
    image.seek(number)
    return _bare(_upright(image, turn))


def _bare(image: Image.Image) -> Image.Image:
    """Return the pixels without what was read beside them, which the encoders would write."""
    bare = image.copy()
    bare.info = {k: v for k, v in image.info.items() if k in {"transparency", "background"}}
    if hasattr(bare, "_exif"):
        bare._exif = None
    return bare


def _thumbnail(image: Image.Image) -> bytes:
    if image.mode.startswith(("I", "F")):  # 16 bits and more a pixel
        image = image.convert("I").point(lambda value: value * (1 / 256) + 0).convert("L")
    opaque = image.mode in {"L", "RGB", "CMYK", "YCbCr", "1"} and "transparency" not in image.info
    profile = image.info.get("icc_profile") if image.mode == "RGB" else None
    small = image.convert("RGB" if opaque else "RGBA")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    small.save(written, "WEBP", quality=75, icc_profile=profile or b"", exif=b"", xmp=b"")
    return written.getvalue()
