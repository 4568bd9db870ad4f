"""Images: what they are, without what they tell of where they were taken, and a thumbnail."""

import io
from typing import BinaryIO

from PIL import (
    AvifImagePlugin,
    Image,
    ImageFile,
    ImageOps,
    JpegImagePlugin,
    UnidentifiedImageError,
)

from media.facts import THUMBNAIL_SIDE, Facts, FileKind, Unreadable

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
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

# A pixel takes 4 bytes, and turning an image takes it twice: this fits the worker's memory.
MAX_PIXELS = 64_000_000
TOO_MANY_PIXELS = f"The image has more than {MAX_PIXELS // 1_000_000} million pixels"
# All frames of an animation together: what a viewer has to decode to show it once.
MAX_ANIMATION_PIXELS = 1_000_000_000

# What Pillow may find beside the pixels that is needed to show them, or harmless. Anything else
# (EXIF, XMP, IPTC, comments, Photoshop's, makers' own) is taken out.
HARMLESS = {
    *("jfif", "jfif_version", "jfif_unit", "jfif_density", "adobe", "adobe_transform"),
    *("progressive", "progression", "dpi", "aspect", "gamma", "srgb", "chromaticity"),
    *("transparency", "background", "duration", "loop", "timestamp", "version", "extension"),
    *("icc_profile", "interlace", "blend", "disposal", "bbox", "default_image", "primary"),
    *("bit_depth", "chroma", "premultiplied_alpha"),
}
JPEG_SEGMENTS = {b"JFIF\0", b"JFXX\0", b"ICC_P", b"Adobe"}
JPEG_QUALITY = 90
WEBP_QUALITY = 90
# Where the bytes of a whole file end; more may hide something else behind the picture.
ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"}

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
ImageFile.LOAD_TRUNCATED_IMAGES = False
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def inspect_image(file: BinaryIO) -> tuple[Facts, bytes] | None:
    """Return what the image is, and its thumbnail (WebP); None when the file is no image.

    The file is rewritten in place when something has to be taken out of it, when it has to be
    turned upright, and when it is HEIC. Raises Unreadable.
    """
    image = _open(file)
    if image is None:
        return None
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable(TOO_MANY_PIXELS)
    frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
    if image.width * image.height * frames > MAX_ANIMATION_PIXELS:
        raise Unreadable("The animation is too large")
    kept_as_it_is = _is_clean(image, file)
    image.seek(0)
    image.load()
    turned = image if frames > 1 else ImageOps.exif_transpose(image)
    if not kept_as_it_is:
        _rewrite(file, _encode(image, turned, frames))
    facts = Facts(
        kind=FileKind.IMAGE,
        media_type=MEDIA_TYPES[image.format or ""],
        width=turned.width,
        height=turned.height,
        rewritten=not kept_as_it_is,
        suffix=".jpg" if image.format == "HEIF" else None,
    )
    return facts, _thumbnail(turned)


def _open(file: BinaryIO) -> ImageFile.ImageFile | None:
    file.seek(0)
    head = file.read(12)
    file.seek(0)
    formats: tuple[str, ...] = FORMATS
    if head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS:
        # Imported for the few that need it: it takes longer than all the rest. `mif1` may be AVIF.
        from pi_heif import register_heif_opener  # type: ignore[import-untyped]  # it has none

        register_heif_opener(thumbnails=False)
        formats = ("AVIF", "HEIF")
    try:
        return Image.open(file, formats=formats)
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError:
        raise Unreadable(TOO_MANY_PIXELS) from None


def _is_clean(image: ImageFile.ImageFile, file: BinaryIO) -> bool:
    """Whether nothing has to be done to the file: upright, and nothing in it but the picture."""
    if image.format in {"HEIF", "MPO"} or image.info.keys() - HARMLESS:
        return False
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        segments = {bytes(content[:5]) for _, content in image.applist}
        if segments - JPEG_SEGMENTS:
            return False
    if image.getexif():
        return False
    return _ends_with_the_picture(image.format or "", file)


def _ends_with_the_picture(format_: str, file: BinaryIO) -> bool:
    position = file.tell()
    size = file.seek(0, io.SEEK_END)
    if format_ == "WEBP":
        file.seek(4)
        ends = int.from_bytes(file.read(4), "little") + 8 >= size
    else:
        file.seek(max(0, size - 8))
        ends = file.read().endswith(ENDS.get(format_, b""))
    file.seek(position)
    return ends


def _encode(image: ImageFile.ImageFile, turned: Image.Image, frames: int) -> bytes:
    """Return the picture anew, in its own format, with nothing but its colours' profile."""
    written = io.BytesIO()
    profile = image.info.get("icc_profile")
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        # With the tables it was made with, next to nothing is lost by doing it again.
        turned.save(
            written,
            "JPEG",
            qtables=image.quantization,
            subsampling=JpegImagePlugin.get_sampling(image),
            icc_profile=profile,
            exif=b"",
        )
    elif image.format == "HEIF":
        turned.convert("RGB").save(
            written, "JPEG", quality=JPEG_QUALITY, icc_profile=profile, exif=b""
        )
    elif frames > 1:
        _encode_animation(image, frames, written, profile)
    elif image.format == "PNG":
        turned.info = {k: v for k, v in turned.info.items() if k == "transparency"}
        turned.save(written, "PNG", icc_profile=profile)
    elif image.format == "GIF":
        turned.info = {k: v for k, v in turned.info.items() if k in {"transparency", "background"}}
        turned.save(written, "GIF")
    else:
        turned.save(
            written,
            image.format,
            quality=WEBP_QUALITY,
            icc_profile=profile or b"",
            exif=b"",
            xmp=b"",
        )
    return written.getvalue()


def _encode_animation(
    image: ImageFile.ImageFile, frames: int, written: io.BytesIO, profile: bytes | None
) -> None:
    durations = []
    for number in range(frames):
        image.seek(number)
        durations.append(int(image.info.get("duration", 100)))
    image.seek(0)
    loop = image.info.get("loop")
    image.info = {k: v for k, v in image.info.items() if k in {"transparency", "background"}}
    options = {} if loop is None else {"loop": loop}
    if image.format != "GIF":
        options["icc_profile"] = profile or b""
        options["exif"] = b""
    image.save(written, image.format, save_all=True, duration=durations, **options)


def _rewrite(file: BinaryIO, content: bytes) -> None:
    file.seek(0)
    file.truncate()
    file.write(content)
    file.flush()


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
