"""Animations: kept animated, at their own pace, whatever has to be taken out of them."""

from io import BytesIO
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from tests.media.conftest import Look, opened
from tests.support import files

FORMATS = ("GIF", "PNG", "WEBP", "AVIF")


def _frames(content: bytes) -> list[tuple[object, int]]:
    """Return the colour of each frame, roughly, and how long it is shown."""
    found: list[tuple[object, int]] = []
    image = Image.open(BytesIO(content))
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        image.load()
        pixel = image.convert("RGB").getpixel((20, 20))
        assert isinstance(pixel, tuple)
        found.append((tuple(round(value / 16) for value in pixel), image.info["duration"]))
    return found


def _telling(format_: str) -> bytes:
    """Return an animation that tells more than it shows."""
    if format_ == "GIF":
        return files.animation("GIF", comment=files.COMMENT, loop=0)
    if format_ == "PNG":
        notes = PngImagePlugin.PngInfo()
        notes.add_text("Comment", files.COMMENT)
        return files.animation("PNG", pnginfo=notes)
    return files.animation(format_, exif=files.exif(place=True))


@pytest.mark.parametrize("format_", FORMATS)
async def test_a_clean_animation_is_kept_byte_by_byte(look: Look, format_: str) -> None:
    content = files.animation(format_)
    if format_ == "AVIF":  # when it was made goes out of it
        content = (await look(content)).kept
    facts, thumbnail, kept = await look(content)
    assert (facts.width, facts.height, facts.rewritten) == (64, 48, False)
    assert kept == content
    assert opened(thumbnail).size == (64, 48)
    assert getattr(opened(thumbnail), "n_frames", 1) == 1


@pytest.mark.parametrize("format_", FORMATS)
async def test_an_animation_that_is_written_anew_moves_as_before(look: Look, format_: str) -> None:
    content = _telling(format_)
    facts, _, kept = await look(content)
    assert facts.rewritten
    assert opened(kept).format == format_
    assert len(_frames(content)) == 3
    assert _frames(kept) == _frames(content)
    assert opened(kept).info.get("loop") == opened(content).info.get("loop")
    for told in (files.CAMERA, files.COMMENT):
        assert told.encode() not in kept


def _clear(content: bytes) -> list[list[bool]]:
    """Return, for each frame, which of four bars across it are seen."""
    image = Image.open(BytesIO(content))
    seen = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        shown = image.convert("RGBA")
        pixels = [shown.getpixel((x, 20)) for x in (5, 15, 25, 35)]
        seen.append([pixel[3] > 0 for pixel in pixels if isinstance(pixel, tuple)])
    return seen


@pytest.mark.parametrize("format_", ["GIF", "PNG"])
async def test_what_is_clear_again_in_a_frame_stays_so(look: Look, format_: str) -> None:
    frames = [Image.new("RGBA", (40, 40), (0, 0, 0, 0)) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.paste((255, 0, 0, 255), (number * 10, 0, number * 10 + 10, 40))
    options: dict[str, Any] = {"GIF": {"disposal": 2}, "PNG": {"disposal": 1}}.get(format_, {})
    content = files.encode(
        frames[0], format_, save_all=True, append_images=frames[1:], duration=50, **options
    )
    meant = [[place == number for place in range(4)] for number in range(3)]
    assert _clear(content) == meant
    facts, _, kept = await look(content + files.HTML)
    assert facts.rewritten
    assert _clear(kept) == meant
