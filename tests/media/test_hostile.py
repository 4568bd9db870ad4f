"""Hostile and broken files: refused, or kept as what they are; they open nothing else."""

import random
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from media.facts import Facts, FileKind
from media.inspector import FileRefused
from tests.media.conftest import Look, opened
from tests.support import files

SHOWN = ("image/", "audio/", "video/", "text/")


def _expect_unshown(facts: Facts) -> None:
    assert facts.kind is FileKind.FILE
    assert not facts.media_type.startswith(SHOWN)
    assert facts.media_type not in {"application/xhtml+xml", "application/xml"}


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
async def test_an_image_that_was_cut_off_is_refused(look: Look, format_: str, part: float) -> None:
    content = files.image_file(format_)
    with pytest.raises(FileRefused, match=r"damaged|cut short"):
        await look(files.truncated(content, part))


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
async def test_an_mp4_that_was_cut_off_is_refused(look: Look, part: float) -> None:
    for content in (files.voice("audio/mp4", tone=3), files.video()):
        with pytest.raises(FileRefused, match=r"damaged|cut short"):
            await look(files.truncated(content, part))


@pytest.mark.parametrize("media_type", ["audio/webm", "audio/mpeg"])
async def test_a_recording_that_is_shorter_than_it_says_is_refused(
    look: Look, media_type: str
) -> None:
    with pytest.raises(FileRefused, match="cut short"):
        await look(files.truncated(files.voice(media_type, tone=5)))


@pytest.mark.parametrize(
    "content",
    [files.HTML, files.SVG, b"<?xml version='1.0'?>" + files.SVG, b"%PDF-1.7\n", b"", b"\0", b"x"],
    ids=["HTML", "SVG", "XML", "PDF", "nothing", "NUL", "a letter"],
)
async def test_what_is_no_picture_is_a_file_that_is_never_shown(look: Look, content: bytes) -> None:
    facts, thumbnail, kept = await look(content)
    _expect_unshown(facts)
    assert (kept, thumbnail) == (content, b"")


@pytest.mark.parametrize(
    "start", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP"]
)
async def test_a_page_that_begins_as_a_picture_is_refused(look: Look, start: bytes) -> None:
    with pytest.raises(FileRefused):
        await look(start + files.HTML * 20)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF"])
async def test_a_polyglot_is_left_with_its_picture(look: Look, format_: str) -> None:
    facts, _, kept = await look(files.polyglot(format_))
    assert (facts.kind, facts.rewritten) == (FileKind.IMAGE, True)
    assert b"script" not in kept
    assert opened(kept).size == (640, 480)


@pytest.mark.parametrize("place", [b"pitm", b"infe"])
async def test_an_avif_whose_picture_is_not_among_its_items_is_refused(
    look: Look, place: bytes
) -> None:
    content = bytearray(files.image_file("AVIF"))
    at = content.index(place) + 8  # behind the name and the version: an item's id
    content[at : at + 2] = b"\x7f\x7f"
    # A tone map would be named in a group.
    content = content.replace(b"iprp", b"grpl", 1) if place == b"infe" else content
    with pytest.raises(FileRefused):
        await look(bytes(content))


FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF")
EVERY_KIND: dict[str, Callable[[], bytes]] = {
    **{format_: partial(files.image_file, format_) for format_ in FORMATS},
    **{media_type: partial(files.voice, media_type) for media_type in files.VOICES},
    "video": files.video,
    "HTML": lambda: files.HTML,
    "SVG": lambda: files.SVG,
    "a bomb": files.png_bomb,
    "cut off": lambda: files.truncated(files.image_file("PNG")),
}


@pytest.mark.parametrize("name", EVERY_KIND)
async def test_what_is_asked_for_as_a_file_is_kept_and_never_shown(look: Look, name: str) -> None:
    content = EVERY_KIND[name]()
    facts, thumbnail, kept = await look(content, FileKind.FILE)
    _expect_unshown(facts)
    assert (facts.width, facts.duration_ms, facts.waveform) == (None, None, None)
    assert (kept, thumbnail) == (content, b"")


@pytest.mark.parametrize(
    ("width", "height"),
    [(30_000, 30_000), (16_001, 16_000), (2**31 - 1, 1), (2**31 - 1, 2**31 - 1)],
)
async def test_a_picture_of_too_many_pixels_is_refused(look: Look, width: int, height: int) -> None:
    if width * height < 10**9:
        content = files.png_bomb(width, height)
    else:  # it only says so
        small = files.png_bomb(8, 8)
        header = struct.pack(">II", width, height) + b"\1\0\0\0\0"
        content = small[:8] + files.png_chunk(b"IHDR", header) + small[33:]
    with pytest.raises(FileRefused, match="256 million pixels"):
        await look(content)


async def test_a_picture_at_the_limit_is_taken(look: Look) -> None:
    facts, thumbnail, _ = await look(files.png_bomb(8000, 8000))
    assert (facts.width, facts.height) == (8000, 8000)
    assert opened(thumbnail).size == (320, 320)


async def test_a_picture_that_only_has_to_be_kept_may_have_more(look: Look) -> None:
    content = files.png_bomb(16_000, 16_000)
    facts, thumbnail, kept = await look(content)
    assert (facts.width, facts.height, thumbnail, kept) == (16_000, 16_000, b"", content)


@pytest.mark.parametrize("bomb", [files.gif_bomb, files.webp_bomb])
async def test_an_animation_of_too_many_pixels_is_refused(
    look: Look, bomb: Callable[..., bytes]
) -> None:
    with pytest.raises(FileRefused, match="too large"):
        await look(bomb(16))
    with pytest.raises(FileRefused, match="too large"):
        await look(bomb(10_000, 400, 400))


async def test_an_animation_of_countless_frames_ends(look: Look) -> None:
    # Small enough to be taken: it must not take the worker's time either.
    facts, _, _ = await look(files.gif_bomb(100_000, 10, 10))
    assert (facts.width, facts.height) == (10, 10)


async def test_a_note_that_unpacks_to_very_much_is_refused_or_gone(look: Look) -> None:
    note = b"Comment\0\0" + zlib.compress(b"x" * 500_000_000, 9)
    whole = files.image_file("PNG")
    content = whole[:33] + files.png_chunk(b"zTXt", note) + whole[33:]
    try:
        facts, _, kept = await look(content)
    except FileRefused:
        return
    assert facts.rewritten
    assert b"zTXt" not in kept


@pytest.fixture
def other_file(tmp_path: Path) -> Path:
    """A recording of somebody else's, on the same disk."""
    path = tmp_path / "other.wav"
    path.write_bytes(files.voice("audio/wav", silence=0, tone=2))
    return path


async def test_a_playlist_is_a_file_and_opens_no_other(look: Look, other_file: Path) -> None:
    listed = f"ffconcat version 1.0\nfile {other_file}\n".encode()
    for content in (files.playlist(str(other_file)), listed):
        facts, _, kept = await look(content)
        _expect_unshown(facts)
        assert (facts.duration_ms, facts.waveform, kept) == (None, None, content)


async def test_a_playlist_that_begins_as_a_recording_opens_no_other(
    look: Look, other_file: Path
) -> None:
    for start in (b"OggS", b"\x1aE\xdf\xa3", b"\0\0\0\x18ftypmp42", b"RIFF\0\0\0\0WAVE", b"ID3"):
        try:
            facts, _, _ = await look(start + b"\n" + files.playlist(str(other_file)))
        except FileRefused:
            continue
        _expect_unshown(facts)
        assert facts.waveform is None


async def test_an_mp4_whose_sound_is_elsewhere_does_not_get_it(
    look: Look, other_file: Path
) -> None:
    content = files.mp4_elsewhere(str(other_file))
    assert str(other_file).encode() in content
    with pytest.raises(FileRefused, match="no sound"):
        await look(content)


async def test_any_file_is_understood_or_refused(look: Look) -> None:
    """Mutations of every kind: some bytes changed, some left out, some twice."""
    chance = random.Random(11)  # the same each time
    kinds = [make() for name, make in EVERY_KIND.items() if name not in {"a bomb", "HTML", "SVG"}]
    kinds += [files.animation("GIF"), files.animation("WEBP"), files.photo("JPEG", orientation=6)]
    kinds += [files.mp3_with_cover(), files.live_voice()]
    for number in range(68):
        content = bytearray(kinds[number % len(kinds)])
        for _ in range(chance.choice((1, 3, 30))):
            # Mostly near the beginning, where a file says what it is.
            reach = chance.choice((64, 400, len(content)))
            at = chance.randrange(min(reach, len(content)))
            change = chance.choice(("set", "set", "drop", "repeat"))
            if change == "set":
                content[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            elif change == "drop":
                del content[at : at + chance.choice((1, 4, 100))]
            else:
                content[at:at] = content[at : at + chance.choice((1, 8, 200))]
        try:
            facts, thumbnail, kept = await look(bytes(content))
        except FileRefused:
            continue
        assert facts.rewritten or kept == content
        assert (facts.kind is FileKind.IMAGE) == bool(thumbnail)
        if facts.kind is FileKind.IMAGE:
            image = opened(kept)
            assert (image.width, image.height) == (facts.width, facts.height)
            assert max(opened(thumbnail).size) <= 320
        assert facts.duration_ms is None or 0 <= facts.duration_ms < 2**31
