"""Pillow: what is set for all of it, and what media/images.py knows of its images."""

import io
import sys
from typing import Any

import pytest
from PIL import (
    AvifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
)

from media import images
from media.formats import png


def _written(format_: str, size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    written = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(written, format_, **options)
    return written.getvalue()


def test_what_is_set_for_all_of_pillow_is_there_to_be_set() -> None:
    assert Image.MAX_IMAGE_PIXELS is None
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert AvifImagePlugin.DEFAULT_MAX_THREADS == 1
    assert PngImagePlugin.MAX_TEXT_CHUNK == png.MAX_PROFILE_BYTES
    assert images.LOADED


def test_no_plugin_is_looked_for_after_ours() -> None:
    # The worker can open no file by then: a plugin that was looked for would end in an error.
    assert Image._initialized == 2
    before = {name for name in sys.modules if name.startswith("PIL.")}
    known = set(Image.OPEN)
    assert Image.init() is False
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"nothing that anybody knows"))
    assert {name for name in sys.modules if name.startswith("PIL.")} == before
    assert set(Image.OPEN) == known


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
def test_each_format_is_read_and_only_as_itself(format_: str) -> None:
    content = _written(format_)
    with Image.open(io.BytesIO(content), formats=(format_,)) as image:
        image.load()
        assert (image.format, image.size) == (format_, (64, 48))
    other = "PNG" if format_ != "PNG" else "GIF"
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(content), formats=(other,))


def test_a_jpeg_is_drafted_at_a_part_of_its_size() -> None:
    with Image.open(io.BytesIO(_written("JPEG", (2000, 1400))), formats=("JPEG",)) as image:
        image.draft(image.mode, (640, 640))
        image.load()
        assert image.size == (1000, 700)


def test_a_jpeg_knows_the_tables_it_was_made_with() -> None:
    content = _written("JPEG", quality=50, subsampling="4:2:2")
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        tables = image.quantization
        assert JpegImagePlugin.get_sampling(image) == 1
    again = _written("JPEG", qtables=tables, subsampling=1)
    with Image.open(io.BytesIO(again), formats=("JPEG",)) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        assert image.quantization == tables


def test_exif_is_read_from_its_bytes() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    read = Image.Exif()
    read.load(exif.tobytes())
    assert read.get(0x0112) == 6
    assert images.TURNS[6] is Image.Transpose.ROTATE_270


def test_what_is_written_has_no_more_than_was_asked_for() -> None:
    for format_ in ("WEBP", "JPEG"):
        content = _written(format_, exif=b"", icc_profile=b"")
        assert b"Exif" not in content
        assert b"EXIF" not in content
        assert b"ICC" not in content


def test_an_image_of_an_open_file_is_read_only_where_it_is_mapped() -> None:
    with Image.open(io.BytesIO(_written("PNG"))) as image:
        image.load()
        assert not image.readonly
        assert image.info.get("icc_profile") is None
