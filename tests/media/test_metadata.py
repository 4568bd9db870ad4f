"""What an image tells besides its picture is gone from what is kept, wherever it stood."""

import pytest
from PIL import PngImagePlugin

from media.facts import FileKind
from tests.media.conftest import Look, alike, opened, quarters
from tests.support import files

SECRET = b"a secret place"


def _expect_gone(kept: bytes) -> None:
    for told in (files.CAMERA.encode(), files.COMMENT.encode(), files.XMP, b"Exif\0\0", SECRET):
        assert told not in kept
    image = opened(kept)
    assert not image.getexif()
    assert not {"exif", "xmp", "comment", "photoshop", "XML:com.adobe.xmp"} & image.info.keys()


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
async def test_what_a_camera_tells_is_gone(look: Look, format_: str) -> None:
    content = files.photo(format_, place=True)
    assert files.CAMERA.encode() in content
    assert opened(content).getexif().get_ifd(0x8825)[2] == files.PLACE[2]
    facts, thumbnail, kept = await look(content)
    assert facts.rewritten
    _expect_gone(kept)
    _expect_gone(thumbnail)
    assert alike(quarters(opened(kept)), list(files.QUARTERS))


@pytest.mark.parametrize("format_", ["JPEG", "GIF"])
async def test_a_comment_is_gone(look: Look, format_: str) -> None:
    content = files.encode(files.picture(), format_, comment=files.COMMENT)
    assert files.COMMENT.encode() in content
    _expect_gone((await look(content)).kept)


def _after_the_pixels(name: bytes, content: bytes) -> bytes:
    """Return a PNG with this chunk where exiftool writes it: behind the picture."""
    whole = files.image_file("PNG")
    end = whole.rindex(b"IEND") - 4
    return whole[:end] + files.png_chunk(name, content) + whole[end:]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (b"tEXt", b"Comment\0" + SECRET),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + files.XMP),
        (b"eXIf", files.exif(place=True).tobytes()[6:]),
        (b"prVt", SECRET),
        (b"tIME", b"\x07\xe9\1\1\1\1\1" + SECRET),
    ],
)
async def test_nothing_hides_behind_the_pixels_of_a_png(
    look: Look, name: bytes, content: bytes
) -> None:
    facts, _, kept = await look(_after_the_pixels(name, content))
    assert facts.rewritten
    _expect_gone(kept)
    assert name not in kept


async def test_a_compressed_note_in_a_png_is_gone(look: Look) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", files.COMMENT * 100, zip=True)
    facts, _, kept = await look(files.encode(files.picture(), "PNG", pnginfo=notes))
    assert facts.rewritten
    assert b"zTXt" not in kept


@pytest.mark.parametrize(
    "marker", [b"\xe1", b"\xe3", b"\xec", b"\xed", b"\xef", b"\xfe"], ids=bytes.hex
)
async def test_no_segment_of_a_jpeg_hides_anything(look: Look, marker: bytes) -> None:
    whole = files.image_file("JPEG")
    told = b"maker's own\0" + SECRET
    segment = b"\xff" + marker + (len(told) + 2).to_bytes(2, "big") + told
    for place in (2, whole.rindex(b"\xff\xda")):  # right at the start, and before the pixels
        facts, _, kept = await look(whole[:place] + segment + whole[place:])
        assert facts.rewritten
        _expect_gone(kept)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
async def test_a_second_file_behind_the_picture_is_gone(look: Look, format_: str) -> None:
    whole = files.image_file(format_)
    end = whole[-12:]  # so that it ends as a picture does
    for behind in (SECRET, SECRET + end, files.photo("JPEG") if format_ == "JPEG" else SECRET):
        facts, _, kept = await look(whole + behind)
        assert facts.rewritten
        _expect_gone(kept)
        assert opened(kept).format == format_


GIF_NOTES = {
    "comment": b"\xfe\x0e" + SECRET + b"\0",
    "XMP": b"\xff\x0bXMP DataXMP\x0e" + SECRET + b"\0",
    "maker's own": b"\xff\x0bMAKERS 1.00\x0e" + SECRET + b"\0",
}


@pytest.mark.parametrize("note", GIF_NOTES)
@pytest.mark.parametrize("place", ["before", "behind"])
async def test_no_block_of_a_gif_hides_anything(look: Look, note: str, place: str) -> None:
    whole = files.animation("GIF")
    # Behind the last frame, or after the screen and its colours.
    at = len(whole) - 1 if place == "behind" else whole.index(b"!")
    facts, _, kept = await look(whole[:at] + b"!" + GIF_NOTES[note] + whole[at:])
    assert facts.rewritten
    _expect_gone(kept)
    assert getattr(opened(kept), "n_frames", 1) == 3


async def test_no_chunk_of_a_webp_hides_anything(look: Look) -> None:
    whole = files.animation("WEBP")
    chunk = b"JUNK\x0e\0\0\0" + SECRET
    size = (len(whole) - 8 + len(chunk)).to_bytes(4, "little")
    facts, _, kept = await look(whole[:4] + size + whole[8:] + chunk)
    assert facts.rewritten
    _expect_gone(kept)


@pytest.mark.parametrize("name", [b"uuid", b"free", b"mdat"])
async def test_no_box_of_an_avif_hides_anything(look: Look, name: bytes) -> None:
    box = (len(SECRET) + 8).to_bytes(4, "big") + name + SECRET
    facts, _, kept = await look(files.image_file("AVIF") + box)
    assert facts.rewritten
    _expect_gone(kept)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "HEIF"])
async def test_what_is_asked_for_as_a_file_keeps_every_byte(look: Look, format_: str) -> None:
    content = files.photo(format_)
    facts, thumbnail, kept = await look(content, FileKind.FILE)
    assert kept == content
    assert (facts.kind, facts.rewritten, thumbnail) == (FileKind.FILE, False, b"")
