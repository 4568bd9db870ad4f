"""Images: measured, upright, with a small picture, and untouched where nothing is to be done."""

from io import BytesIO

import pytest
from PIL import Image, ImageOps

from media.facts import FileKind
from tests.media.conftest import Look, alike, opened, quarters
from tests.support import files

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
}
CLEAN = ("JPEG", "PNG", "GIF", "WEBP", "AVIF")
SEEN = list(files.QUARTERS)


@pytest.mark.parametrize("format_", CLEAN)
async def test_a_clean_image_is_measured_and_kept_byte_by_byte(look: Look, format_: str) -> None:
    content = files.image_file(format_)
    facts, thumbnail, kept = await look(content)
    assert (facts.kind, facts.media_type) == (FileKind.IMAGE, MEDIA_TYPES[format_])
    assert (facts.width, facts.height) == (640, 480)
    assert (facts.rewritten, facts.duration_ms, facts.waveform) == (False, None, None)
    assert kept == content
    small = opened(thumbnail)
    assert (small.format, small.size) == ("WEBP", (320, 240))
    assert alike(quarters(small), SEEN)


async def test_heic_becomes_a_jpeg(look: Look) -> None:
    facts, thumbnail, kept = await look(files.image_file("HEIF", 600, 400))
    assert (facts.kind, facts.media_type) == (FileKind.IMAGE, "image/jpeg")
    assert facts.rewritten
    image = opened(kept)
    assert (image.format, image.size, facts.width, facts.height) == ("JPEG", (600, 400), 600, 400)
    assert alike(quarters(image), SEEN)
    assert opened(thumbnail).size == (320, 213)


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((100, 50), (100, 50)),
        ((1, 1), (1, 1)),
        ((320, 320), (320, 320)),
        ((321, 320), (320, 319)),
        ((200, 2000), (32, 320)),
        ((20_000, 2), (320, 1)),
    ],
)
async def test_a_thumbnail_fits_its_square_and_is_never_larger_than_the_image(
    look: Look, size: tuple[int, int], small: tuple[int, int]
) -> None:
    facts, thumbnail, _ = await look(files.image_file("PNG", *size))
    assert (facts.width, facts.height) == size
    assert opened(thumbnail).size == small


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF"])
async def test_an_image_is_turned_upright(look: Look, format_: str, orientation: int) -> None:
    facts, thumbnail, kept = await look(files.photo(format_, orientation=orientation))
    assert (facts.width, facts.height) == (640, 480)
    image = opened(kept)
    if format_ == "AVIF":
        # Its container says how it is turned, as viewers know; Pillow tells that as EXIF.
        assert b"Exif" not in kept
        image = ImageOps.exif_transpose(image)
    else:
        assert image.format == format_
    assert image.size == (640, 480)
    assert alike(quarters(image), SEEN)
    assert opened(thumbnail).size == (320, 240)
    assert alike(quarters(opened(thumbnail)), SEEN)
    assert 0x0112 not in image.getexif()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
async def test_a_heic_photo_is_turned_upright_once(look: Look, orientation: int) -> None:
    # Its container says how to turn it, and so may its EXIF.
    stored = files.photo("HEIF", orientation=orientation)
    meant = opened(stored)
    facts, thumbnail, kept = await look(stored)
    assert (facts.width, facts.height) == meant.size
    assert alike(quarters(opened(kept)), quarters(meant))
    assert alike(quarters(opened(thumbnail)), quarters(meant))
    assert sorted(quarters(meant)) != quarters(meant)  # they are told apart


async def test_a_photo_of_many_pictures_becomes_one(look: Look) -> None:
    shots = [files.picture(), files.picture(100, 100)]
    content = files.encode(shots[0], "MPO", save_all=True, append_images=shots[1:])
    assert Image.open(BytesIO(content)).format == "MPO"
    facts, thumbnail, kept = await look(content)
    assert (facts.media_type, facts.width, facts.height) == ("image/jpeg", 640, 480)
    image = opened(kept)
    assert (image.format, image.size, getattr(image, "n_frames", 1)) == ("JPEG", (640, 480), 1)
    assert kept.count(b"\xff\xd8\xff") == 1
    assert alike(quarters(image), SEEN)
    assert alike(quarters(opened(thumbnail)), SEEN)


async def test_a_png_of_16_bits_is_shown_in_its_own_shades(look: Look) -> None:
    shades = (0, 0x4000, 0x8000, 0xFFFF)
    content = files.encode(files.picture(mode="I;16", quarters=shades), "PNG")
    _, thumbnail, kept = await look(content)
    assert kept == content
    grey: list[tuple[int, ...]] = [(shade >> 8,) * 3 for shade in shades]
    assert alike(quarters(opened(thumbnail)), grey)


async def test_a_grey_png_of_16_bits_loses_what_it_tells_and_none_of_its_depth(look: Look) -> None:
    shades = (0, 0x4001, 0x8003, 0xFFFF)
    image = files.picture(mode="I;16", quarters=shades)
    _, _, kept = await look(files.encode(image, "PNG", exif=files.exif(place=True)))
    again = opened(kept)
    assert again.mode == "I;16"
    assert [again.getpixel(place) for place in ((9, 9), (600, 9), (9, 400), (600, 400))] == [
        *shades
    ]


@pytest.mark.parametrize("told", [False, True])
async def test_a_jpeg_for_printers_keeps_its_inks(look: Look, told: bool) -> None:
    options = {"exif": files.exif(orientation=1, place=True)} if told else {}
    content = files.encode(files.picture(mode="CMYK"), "JPEG", **options)
    facts, thumbnail, kept = await look(content)
    assert facts.rewritten is told
    assert opened(kept).mode == "CMYK"
    assert alike(quarters(opened(kept)), SEEN)
    assert alike(quarters(opened(thumbnail)), SEEN)


@pytest.mark.parametrize("mode", ["L", "1"])
async def test_a_picture_without_colours_is_turned_too(look: Look, mode: str) -> None:
    shades: tuple[int, ...] = (0, 255, 255, 0)
    image = files.picture(mode=mode, quarters=shades).transpose(Image.Transpose.ROTATE_90)
    format_ = "JPEG" if mode == "L" else "PNG"
    _, thumbnail, kept = await look(files.encode(image, format_, exif=files.exif(orientation=6)))
    grey: list[tuple[int, ...]] = [(shade,) * 3 for shade in shades]
    assert opened(kept).mode == mode
    for shown in (kept, thumbnail):
        assert alike(quarters(opened(shown)), grey)


@pytest.mark.parametrize("told", [False, True])
async def test_a_palette_keeps_what_is_transparent(look: Look, told: bool) -> None:
    image = files.picture(mode="P")
    clear = image.getpixel((0, 0))
    options = {"exif": files.exif(place=True)} if told else {}
    content = files.encode(image, "PNG", transparency=clear, **options)
    facts, thumbnail, kept = await look(content)
    assert facts.rewritten is told
    assert opened(kept).mode == "P"
    for shown in (kept, thumbnail):
        seen = opened(shown).convert("RGBA")
        alphas = [seen.getpixel((x, y)) for x in (9, seen.width - 9) for y in (9, seen.height - 9)]
        assert [pixel[3] for pixel in alphas if isinstance(pixel, tuple)] == [0, 255, 255, 255]
        assert alike(quarters(seen)[1:], SEEN[1:])


async def test_a_picture_that_is_half_transparent_has_such_a_thumbnail(look: Look) -> None:
    image = files.picture(mode="RGBA", quarters=[(*colour, 128) for colour in files.QUARTERS])
    _, thumbnail, _ = await look(files.encode(image, "WEBP", lossless=True))
    pixel = opened(thumbnail).getpixel((9, 9))
    assert isinstance(pixel, tuple)
    assert abs(pixel[3] - 128) <= 8


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("told", [False, True])
async def test_a_colour_profile_stays(look: Look, format_: str, told: bool) -> None:
    profile = files.colour_profile()
    options = {"exif": files.exif(orientation=1, place=True)} if told else {}
    content = files.encode(files.picture(), format_, icc_profile=profile, **options)
    facts, thumbnail, kept = await look(content)
    assert facts.rewritten is told
    assert opened(kept).info["icc_profile"] == profile
    assert opened(thumbnail).info["icc_profile"] == profile


async def test_a_jpeg_that_is_written_anew_looks_the_same_and_is_hardly_larger(look: Look) -> None:
    noise = Image.effect_noise((640, 480), 60).convert("RGB")
    content = files.encode(noise, "JPEG", quality=70, exif=files.exif(place=True))
    _, _, kept = await look(content)
    assert len(kept) < 1.1 * len(content)
    before, after = opened(content).tobytes(), opened(kept).tobytes()
    off = sum(abs(one - other) for one, other in zip(before, after, strict=True)) / len(before)
    assert off < 2
