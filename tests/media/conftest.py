"""An inspector that the tests share, and files to hand it."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from io import BytesIO
from typing import NamedTuple

import pytest
from PIL import Image

from media.facts import Facts, FileKind
from media.inspector import Inspector

MEMORY = 1024**3
SECONDS = 60  # far more than any honest file takes, on a machine that does other things too


class Looked(NamedTuple):
    """What was said of a file, and the bytes that are to be kept of it."""

    facts: Facts
    thumbnail: bytes
    kept: bytes


Look = Callable[..., Awaitable[Looked]]


async def look_at(inspector: Inspector, content: bytes, wanted: FileKind | None = None) -> Looked:
    """Have the file inspected. Raises FileRefused."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        async with asyncio.timeout(2 * SECONDS):
            found = await inspector.inspect(file, size=len(content), wanted=wanted)
        file.seek(0)
        return Looked(found.facts, found.thumbnail, file.read())


@pytest.fixture(scope="session")
def inspector() -> Inspector:
    """Two workers, with the limits that servers have."""
    return Inspector(workers=2, memory_bytes=MEMORY, seconds=SECONDS)


@pytest.fixture
def look(inspector: Inspector) -> Look:
    """Has a file inspected. Raises FileRefused."""

    async def look(content: bytes, wanted: FileKind | None = None) -> Looked:
        return await look_at(inspector, content, wanted)

    return look


def opened(content: bytes) -> Image.Image:
    """Return the picture, decoded."""
    image = Image.open(BytesIO(content))
    image.load()
    return image


def quarters(image: Image.Image) -> list[tuple[int, ...]]:
    """Return the colours in the middle of a picture's quarters: left to right, top to bottom."""
    image = image.convert("RGB")
    width, height = image.size
    places = [(x * width // 4, y * height // 4) for y in (1, 3) for x in (1, 3)]
    found = [image.getpixel(place) for place in places]
    return [colour if isinstance(colour, tuple) else () for colour in found]


def alike(one: Sequence[tuple[int, ...]], other: Sequence[tuple[int, ...]], by: int = 24) -> bool:
    """Whether colours are the same to the eye: every format but PNG and GIF loses a little."""
    return all(
        abs(here - there) <= by
        for colour, wanted in zip(one, other, strict=True)
        for here, there in zip(colour, wanted, strict=True)
    )
