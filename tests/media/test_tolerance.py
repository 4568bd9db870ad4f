"""What every browser shows is taken: faults beside the picture are mended, those in it refused."""

import zlib

import pytest
from PIL import Image, PngImagePlugin

from media.inspector import FileRefused
from tests.media.conftest import Look, alike, opened, quarters
from tests.support import files

SEEN = list(files.QUARTERS)
PHOTO = Image.effect_noise((640, 480), 60).convert("RGB")


async def _expect_shown(look: Look, content: bytes) -> bytes:
    facts, thumbnail, kept = await look(content)
    assert (facts.width, facts.height) == (640, 480)
    image = opened(kept)
    assert alike(quarters(image), SEEN)
    assert alike(quarters(opened(thumbnail)), SEEN)
    again = await look(kept)
    assert (again.kept, again.facts.rewritten) == (kept, False)
    return kept


@pytest.mark.parametrize("name", ["tEXt", "zTXt", "iTXt"])
async def test_a_png_with_a_long_text(look: Look, name: str) -> None:
    notes = PngImagePlugin.PngInfo()
    text = "a diagram" * 400_000
    if name == "iTXt":
        notes.add_itxt("Comment", text, zip=True)
    else:
        notes.add_text("Comment", text, zip=name == "zTXt")
    kept = await _expect_shown(look, files.encode(files.picture(), "PNG", pnginfo=notes))
    assert name.encode() not in kept


@pytest.mark.parametrize(
    "packed",
    [
        zlib.compress(bytes(1_500_000)),  # large: kept
        zlib.compress(bytes(40_000_000)),  # larger than any is
        b"not packed at all",
        zlib.compress(bytes(1000))[:10],
    ],
)
async def test_a_png_with_a_strange_profile(
    look: Look, monkeypatch: pytest.MonkeyPatch, packed: bytes
) -> None:
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 10_000_000)
    whole = files.image_file("PNG")
    profile = files.png_chunk(b"iCCP", b"colours\0\0" + packed)
    kept = await _expect_shown(look, whole[:33] + profile + whole[33:])
    assert (b"iCCP" in kept) is (len(zlib.compress(bytes(1_500_000))) == len(packed))


@pytest.mark.parametrize("name", [b"tEXt", b"gAMA", b"pHYs", b"prVt"])
async def test_a_png_with_a_wrong_checksum_beside_the_picture(look: Look, name: bytes) -> None:
    whole = files.image_file("PNG")
    body = {b"gAMA": b"\0\0\xb1\x8f", b"pHYs": b"\0\0\x0b\x12\0\0\x0b\x12\1"}.get(name, b"a\0b")
    chunk = files.png_chunk(name, body)[:-4] + b"oops"
    await _expect_shown(look, whole[:33] + chunk + whole[33:])


@pytest.mark.parametrize("cut", [1, 4, 8, 12, 13, 16])
async def test_a_png_without_its_end(look: Look, cut: int) -> None:
    await _expect_shown(look, files.image_file("PNG")[:-cut])


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("cut", [1, 2])
async def test_a_jpeg_without_its_end(look: Look, cut: int, progressive: bool) -> None:
    content = files.encode(files.picture(), "JPEG", progressive=progressive)
    kept = await _expect_shown(look, content[:-cut])
    assert kept.endswith(b"\xff\xd9")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.98])
async def test_a_jpeg_without_the_end_of_its_picture_is_refused(
    look: Look, part: float, progressive: bool
) -> None:
    content = files.encode(PHOTO, "JPEG", progressive=progressive)
    with pytest.raises(FileRefused, match="cut short"):
        await look(content[: int(len(content) * part)])


async def test_a_progressive_jpeg_without_its_last_scan_is_refused(look: Look) -> None:
    content = files.encode(PHOTO, "JPEG", progressive=True)
    with pytest.raises(FileRefused, match="cut short"):
        await look(content[: content.rindex(b"\xff\xda")])


async def test_a_jpeg_with_bytes_between_its_segments(look: Look) -> None:
    whole = files.image_file("JPEG")
    at = whole.index(b"\xff\xdb")
    await _expect_shown(look, whole[:at] + b"\0junk\xff\xff" + whole[at:])


@pytest.mark.parametrize("cut", [1, 2])
async def test_a_gif_without_its_end(look: Look, cut: int) -> None:
    await _expect_shown(look, files.image_file("GIF")[:-cut])


async def test_a_gif_with_an_empty_block_too_many(look: Look) -> None:
    await _expect_shown(look, files.image_file("GIF")[:-1] + b"\0\0;")


@pytest.mark.parametrize("size", [0, 4, 2**31])
async def test_a_webp_that_mistakes_its_own_size(look: Look, size: int) -> None:
    whole = files.image_file("WEBP")
    await _expect_shown(look, whole[:4] + size.to_bytes(4, "little") + whole[8:])


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
async def test_anything_behind_the_end(look: Look, format_: str) -> None:
    whole = files.image_file(format_)
    for junk in (b"\0", b"\r\n", b"x" * 5000, bytes(70_000)):
        facts, _, kept = await look(whole + junk)
        assert (facts.rewritten, kept) == (True, whole)


async def test_a_png_whose_picture_has_a_wrong_checksum_is_refused(look: Look) -> None:
    whole = files.image_file("PNG")
    end = whole.rindex(b"IEND") - 4
    with pytest.raises(FileRefused, match="damaged"):
        await look(whole[: end - 4] + b"oops" + whole[end:])
