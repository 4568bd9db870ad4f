"""Metadata is cut out of a file: the picture's own bytes stay, whatever it is."""

import struct
import time
import zlib
from io import BytesIO

import pytest
from PIL import Image, ImageOps

from media.facts import FileKind
from tests.media.conftest import Look, alike, opened, quarters
from tests.support import files

SECRET = b"a secret place"


def _pixels(content: bytes) -> bytes:
    return opened(content).convert("RGBA").tobytes()


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF"])
async def test_the_picture_is_the_same_without_its_metadata(look: Look, format_: str) -> None:
    content = files.photo(format_)
    facts, _, kept = await look(content)
    assert facts.rewritten
    assert len(kept) <= len(content)
    assert _pixels(kept) == _pixels(content)


def _sticker(*, frames: int = 1, **options: object) -> bytes:
    shades = [files.picture(64, 64, "RGBA") for _ in range(frames)]
    for number, shade in enumerate(shades):
        shade.putpixel((number, 0), (0, 0, 0, 0))
    return files.encode(
        shades[0],
        "WEBP",
        lossless=True,
        exact=True,
        save_all=frames > 1,
        append_images=shades[1:],
        **options,
    )


@pytest.mark.parametrize("frames", [1, 3])
async def test_a_lossless_sticker_stays_lossless(look: Look, frames: int) -> None:
    content = _sticker(frames=frames, exif=files.exif(place=True), xmp=files.XMP)
    _, _, kept = await look(content)
    assert b"VP8L" in kept
    assert b"VP8 " not in kept
    assert len(kept) < len(content)
    assert kept[20] & 0x0C == 0  # VP8X tells of no EXIF and no XMP
    assert int.from_bytes(kept[4:8], "little") + 8 == len(kept)
    assert getattr(opened(kept), "n_frames", 1) == frames
    assert _pixels(kept) == _pixels(content)


@pytest.mark.parametrize("format_", ["WEBP", "PNG"])
async def test_what_is_lossless_is_turned_without_loss(look: Look, format_: str) -> None:
    image = files.picture(64, 48, "RGBA")
    image.putpixel((1, 2), (9, 8, 7, 0))
    options = {"lossless": True, "exact": True} if format_ == "WEBP" else {}
    content = files.encode(image, format_, exif=files.exif(orientation=6), **options)
    _, _, kept = await look(content)
    assert _pixels(kept) == image.transpose(Image.Transpose.ROTATE_270).tobytes()


COLOURS = {
    b"cICP": b"\x09\x10\0\1",
    b"mDCV": bytes(24),
    b"cLLI": bytes(8),
    b"sBIT": b"\x08\x08\x08",
    b"gAMA": b"\0\0\xb1\x8f",
}


@pytest.mark.parametrize("orientation", [1, 8])
async def test_what_the_colours_of_a_png_mean_stays(look: Look, orientation: int) -> None:
    whole = files.photo("PNG", orientation=orientation)
    told = b"".join(files.png_chunk(*each) for each in COLOURS.items())
    _, _, kept = await look(whole[:33] + told + whole[33:])
    for name, body in COLOURS.items():
        assert files.png_chunk(name, body) in kept
        assert kept.count(name) == 1
    assert b"tEXt" not in kept


async def test_a_deep_png_keeps_its_depth_and_says_how_it_is_turned(look: Look) -> None:
    rows = b"".join(b"\0" + b"\x12\x34\x56\x78\x9a\xbc" * 4 for _ in range(2))
    header = struct.pack(">IIBBBBB", 4, 2, 16, 2, 0, 0, 0)
    exif = files.exif(orientation=6, place=True).tobytes()[6:]
    chunks = (
        (b"IHDR", header),
        (b"eXIf", exif),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    content = b"\x89PNG\r\n\x1a\n" + b"".join(files.png_chunk(*each) for each in chunks)
    facts, _, kept = await look(content)
    assert (facts.width, facts.height) == (2, 4)
    assert (kept[24], kept[25]) == (16, 2)
    assert dict(opened(kept).getexif()) == {0x0112: 6}
    assert files.CAMERA.encode() not in kept


async def test_a_gif_with_a_comment_costs_as_much_as_one_without(look: Look) -> None:
    frames = [Image.effect_noise((400, 300), 90).convert("P") for _ in range(40)]
    options = {"save_all": True, "append_images": frames[1:], "duration": 40}
    took = []
    for comment in (b"", b"made at home"):
        content = files.encode(frames[0], "GIF", comment=comment, **options)
        start = time.monotonic()
        facts, _, kept = await look(content)
        took.append(time.monotonic() - start)
        assert facts.rewritten is bool(comment)
        assert b"made at home" not in kept
        assert getattr(opened(kept), "n_frames", 1) == 40
    assert took[1] < 3 * took[0] + 0.5


async def test_more_than_the_loops_of_a_gif_is_gone_from_its_extension(look: Look) -> None:
    whole = files.animation("GIF", loop=0)
    at = whole.index(b"NETSCAPE2.0") + 11 + 4
    facts, _, kept = await look(whole[:at] + b"\x0e" + SECRET + whole[at:])
    assert (facts.rewritten, kept) == (True, whole)


async def test_a_small_picture_in_a_jpeg_is_gone_and_its_own_tables_stay(look: Look) -> None:
    whole = files.image_file("JPEG")
    small = b"JFIF\0\1\1\0\0\1\0\1" + b"\4\4" + SECRET.ljust(48, b"\0")
    segment = b"\xff\xe0" + (len(small) + 2).to_bytes(2, "big") + small
    facts, _, kept = await look(whole[:2] + segment + whole[20:])
    assert facts.rewritten
    assert SECRET not in kept
    assert kept[20:] == whole[20:]


async def test_a_film_behind_a_photo_is_gone(look: Look) -> None:
    whole = files.photo("JPEG")
    _, _, kept = await look(whole + files.video())
    assert b"ftyp" not in kept
    assert kept.endswith(b"\xff\xd9")


@pytest.mark.parametrize("orientation", [1, 6])
async def test_a_jpeg_of_108_megapixels_is_taken(
    look: Look, monkeypatch: pytest.MonkeyPatch, orientation: int
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    image = Image.linear_gradient("L").resize((12_000, 9_000))
    content = files.encode(
        image, "JPEG", exif=files.exif(orientation=orientation, place=True), quality=50
    )
    facts, thumbnail, kept = await look(content)
    shown = (12_000, 9_000) if orientation == 1 else (9_000, 12_000)
    assert (facts.kind, facts.width, facts.height) == (FileKind.IMAGE, *shown)
    assert opened(thumbnail).size == ((320, 240) if orientation == 1 else (240, 320))
    told = Image.open(BytesIO(kept)).getexif()
    assert dict(told) == ({} if orientation == 1 else {0x0112: 6})
    assert files.CAMERA.encode() not in kept
    assert kept[kept.index(b"\xff\xda") :] == content[content.index(b"\xff\xda") :]


@pytest.mark.parametrize("format_", ["WEBP", "PNG"])
async def test_an_animation_that_is_turned_says_so_alone(look: Look, format_: str) -> None:
    content = files.animation(format_, exif=files.exif(orientation=6, place=True))
    facts, thumbnail, kept = await look(content)
    assert (facts.width, facts.height) == (48, 64)
    assert opened(thumbnail).size == (48, 64)
    assert dict(opened(kept).getexif()) == {0x0112: 6}
    assert getattr(opened(kept), "n_frames", 1) == 3
    assert files.CAMERA.encode() not in kept


async def test_an_avif_loses_what_no_viewer_shows(look: Look) -> None:
    content = files.photo("AVIF", orientation=6)
    _, _, kept = await look(content)
    for told in (files.CAMERA.encode(), files.XMP, b"Exif", b"mime"):
        assert told in content
        assert told not in kept
    assert alike(quarters(ImageOps.exif_transpose(opened(kept))), list(files.QUARTERS))


@pytest.mark.parametrize("clear", [False, True])
async def test_a_heic_keeps_what_is_clear(look: Look, clear: bool) -> None:
    image = files.picture(mode="RGBA")
    if clear:
        image.paste((0, 0, 0, 0), (0, 0, 100, 100))
    facts, thumbnail, kept = await look(files.encode(image, "HEIF"))
    assert facts.media_type == ("image/webp" if clear else "image/jpeg")
    for shown in (kept, thumbnail):
        pixel = opened(shown).convert("RGBA").getpixel((9, 9))
        assert isinstance(pixel, tuple)
        assert (pixel[3] == 0) is clear
