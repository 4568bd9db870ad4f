"""The two square pictures of a profile: the middle of the picture, upright, never enlarged."""

import tempfile
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from media.facts import LARGE_SIDE, SMALL_SIDE
from media.inspector import FileRefused, Inspector
from tests.media.conftest import alike, opened, quarters

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 160, 0), (0, 0, 255), (255, 255, 255)
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF")

Make = Callable[[bytes], Awaitable[tuple[bytes, bytes]]]


@pytest.fixture
def make(inspector: Inspector) -> Make:
    """Has the squares of a picture made. Raises FileRefused."""

    async def make(content: bytes) -> tuple[bytes, bytes]:
        with tempfile.TemporaryFile() as file:
            file.write(content)
            return await inspector.make_squares(file, size=len(content))

    return make


def picture(width: int, height: int, format_: str = "PNG", mode: str = "RGB", **save: Any) -> bytes:
    """A picture whose middle square has four colours, and whose rest is black."""
    image = Image.new(mode, (width, height))
    side = min(width, height)
    left, top, half = (width - side) // 2, (height - side) // 2, side // 2
    for number, colour in enumerate((RED, GREEN, BLUE, WHITE)):
        x, y = left + number % 2 * half, top + number // 2 * half
        image.paste(colour, (x, y, x + half, y + half))
    written = BytesIO()
    image.save(written, format_, **save)
    return written.getvalue()


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("size", [(600, 400), (400, 900), (512, 512)], ids=str)
async def test_the_middle_is_kept_in_two_sizes(
    make: Make, format_: str, size: tuple[int, int]
) -> None:
    large, small = map(opened, await make(picture(*size, format_)))
    assert (large.size, small.size) == ((LARGE_SIDE,) * 2, (SMALL_SIDE,) * 2)
    assert (large.format, small.format) == ("WEBP", "WEBP")
    for image in (large, small):
        assert alike(quarters(image), [RED, GREEN, BLUE, WHITE], by=40)


async def test_a_small_picture_is_not_made_larger(make: Make) -> None:
    large, small = map(opened, await make(picture(100, 40)))
    assert (large.size, small.size) == ((40, 40), (40, 40))


@pytest.mark.parametrize(
    ("orientation", "colours"),
    [
        (3, [WHITE, BLUE, GREEN, RED]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (8, [GREEN, WHITE, RED, BLUE]),
    ],
)
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
async def test_a_picture_that_only_says_how_it_is_turned_is_turned(
    make: Make, format_: str, orientation: int, colours: list[tuple[int, ...]]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for square in map(opened, await make(picture(600, 400, format_, exif=exif))):
        assert alike(quarters(square), colours, by=40)
        assert not square.getexif()


async def test_transparency_stays(make: Make) -> None:
    image = Image.new("RGBA", (300, 300), (255, 0, 0, 0))
    written = BytesIO()
    image.save(written, "PNG")
    for square in map(opened, await make(written.getvalue())):
        assert square.getchannel("A").getextrema() == (0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
async def test_every_mode_becomes_a_picture(make: Make, mode: str) -> None:
    image = Image.new("L", (300, 200), 128).convert(mode) if mode != "I;16" else None
    image = image or Image.new("I;16", (300, 200), 30_000)
    written = BytesIO()
    image.save(written, "JPEG" if mode == "CMYK" else "PNG")
    for square, side in zip(map(opened, await make(written.getvalue())), (200, 64), strict=True):
        assert square.size == (side, side)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"\xff\xd8\xff", picture(300, 300)[:400], b"GIF89a" + b"\0" * 50],
    ids=["empty", "text", "three bytes", "cut short", "hollow"],
)
async def test_what_is_no_picture_is_refused(make: Make, content: bytes) -> None:
    with pytest.raises(FileRefused):
        await make(content)
