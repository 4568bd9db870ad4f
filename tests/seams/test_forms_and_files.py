"""python-multipart, obstore and filetype: what they call, raise and leave behind."""

import io
import os
from pathlib import Path
from typing import Any

import filetype  # type: ignore[import-untyped]  # it publishes none
import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import LocalStore
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

NAMES = (
    *("on_part_begin", "on_header_field", "on_header_value", "on_header_end"),
    *("on_headers_finished", "on_part_data", "on_part_end", "on_end"),
)
DATA = {"on_header_field", "on_header_value", "on_part_data"}
FORM = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nhello\r\n--x--\r\n'


def _parser(told: list[str]) -> MultipartParser:
    def of(name: str) -> object:
        if name in DATA:
            return lambda data, start, end: told.append(f"{name} {data[start:end].decode()}")
        return lambda: told.append(name)

    callbacks: Any = {name: of(name) for name in NAMES}
    return MultipartParser(b"x", callbacks)


def test_a_form_is_told_of_part_by_part_however_it_is_cut() -> None:
    for size in (1, 7, len(FORM)):
        told: list[str] = []
        parser = _parser(told)
        for start in range(0, len(FORM), size):
            parser.write(FORM[start : start + size])
        parser.finalize()
        names = [line.partition(" ")[0] for line in told]
        assert [*dict.fromkeys(names)] == [*NAMES]
        said = [line.partition(" ")[2] for line in told if line.startswith("on_part_data")]
        assert "".join(said) == "hello"


def test_a_malformed_form_is_one_kind_of_error() -> None:
    with pytest.raises(FormParserError):
        _parser([]).write(b"no boundary at all\r\n\r\n")


def test_a_headers_options_are_bytes() -> None:
    found = parse_options_header(b'form-data; name="a"; filename="b c.txt"')
    assert found == (b"form-data", {b"name": b"a", b"filename": b"b c.txt"})
    assert parse_options_header("multipart/form-data; boundary=x")[1] == {b"boundary": b"x"}


async def test_a_store_keeps_reads_ranges_and_forgets(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for content in (io.BytesIO(b"0123456789"), b"0123456789"):
        await obstore.put_async(store, "ab/name", content, chunk_size=4, max_concurrency=2)
        assert (await obstore.head_async(store, "ab/name"))["size"] == 10
        found = await obstore.get_async(store, "ab/name", options={"range": (2, 5)})
        assert b"".join([bytes(chunk) async for chunk in found.stream(min_chunk_size=2)]) == b"234"
    await obstore.delete_async(store, "ab/name")
    for ask in (obstore.head_async, obstore.get_async, obstore.delete_async):
        with pytest.raises(FileNotFoundError):
            await ask(store, "ab/name")
    assert issubclass(BaseError, Exception)


async def test_a_put_that_fails_leaves_a_file_beside_the_name(tmp_path: Path) -> None:
    # db/files.py removes these by their name: the file's own, a number sign, a number.
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 8:
                raise OSError("on purpose")
            return super().read(size)

    store = LocalStore(tmp_path)
    with pytest.raises((BaseError, OSError)):
        await obstore.put_async(
            store, "name", Broken(bytes(64)), chunk_size=4, max_concurrency=1, use_multipart=True
        )
    left = os.listdir(tmp_path)
    assert "name" not in left
    assert {name.partition("#")[0] for name in left} <= {"name"}


def test_a_file_is_guessed_by_its_first_bytes() -> None:
    assert filetype.guess_mime(b"%PDF-1.7\n") == "application/pdf"
    assert filetype.guess_mime(b"nothing that anybody knows") is None
