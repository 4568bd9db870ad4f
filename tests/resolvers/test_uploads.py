"""Forms of several parts: read as they come, bounded, and gone afterwards."""

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from resolvers.attachments.forms import MAX_FIELDS, Form, receive_form
from resolvers.context import Context
from resolvers.errors import BadInput, PayloadTooLarge, Unauthenticated
from server.multipart import MultipartBody
from tests.resolvers.conftest import join, running_context

BOUNDARY = "b0undary"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
DISPOSITION = 'form-data; name="file"; filename="a.txt"'


@pytest.fixture(scope="module")
async def alice(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Context]:
    """Somebody who may upload 10 000 bytes; what is received knows no database."""
    limits = {f"max_{kind}_bytes": 10_000 for kind in ("image", "voice", "file")}
    directory = tmp_path_factory.mktemp("uploads")
    async with running_context(directory, max_body_bytes=2000, **limits) as ctx:
        yield await join(ctx)


def _part(content: bytes, disposition: str | bytes = DISPOSITION, headers: bytes = b"") -> bytes:
    disposition = disposition if isinstance(disposition, bytes) else disposition.encode()
    head = b"Content-Disposition: " + disposition + b"\r\n" + headers
    return f"--{BOUNDARY}\r\n".encode() + head + b"\r\n" + content + b"\r\n"


def _body(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class Received(NamedTuple):
    """What was in a form, after it is gone."""

    fields: dict[str, str]
    files: dict[str, tuple[str, bytes]]


async def _chunks(body: bytes, size: int) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def a_body(
    chunks: AsyncGenerator[bytes, None],
    *,
    content_type: str = TYPE,
    length: int | str | None = None,
) -> MultipartBody:
    """Return a body as a transport hands it over."""
    headers = {} if length is None else {"content-length": str(length)}
    return MultipartBody({"content-type": content_type, **headers}, chunks)


async def _receive(
    ctx: Context,
    body: bytes,
    *,
    chunk: int = 65536,
    content_type: str = TYPE,
    length: str | None = None,
    max_files: int = 1,
) -> Received:
    kept: list[Form] = []
    sent = a_body(_chunks(body, chunk), content_type=content_type, length=length)
    async with receive_form(ctx, sent, max_files=max_files) as form:
        kept.append(form)
        found = {}
        for name, file in form.files.items():
            file.content.seek(0)
            content = file.content.read()
            assert len(content) == file.size
            found[name] = (file.filename, content)
    assert all(file.content.closed for file in kept[0].files.values())
    return Received(dict(form.fields), found)


def _leftovers(ctx: Context) -> list[Path]:
    return [*ctx.settings.data_dir.rglob("tmp*")]


@pytest.mark.parametrize("chunk", [1, 7, 100_000])
async def test_a_form_is_read_however_it_is_cut(alice: Context, chunk: int) -> None:
    content = bytes(range(256)) * 4 + f"\r\n--{BOUNDARY}x\r\n--".encode()
    body = _body(_part("Größe".encode(), 'form-data; name="field"'), _part(content))
    received = await _receive(alice, body, chunk=chunk, length=str(len(body)))
    assert received == ({"field": "Größe"}, {"file": ("a.txt", content)})
    assert _leftovers(alice) == []


async def test_an_empty_file_is_a_file(alice: Context) -> None:
    assert (await _receive(alice, _body(_part(b"")))).files == {"file": ("a.txt", b"")}


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('form-data; name="file"; filename="фото 📷.png"', "фото 📷.png"),
        ('form-data; name="file"; filename="a %22quoted%22.png"', 'a "quoted".png'),
        ("form-data; name=\"file\"; filename*=utf-8''%D1%84%20x.png", "ф x.png"),
        ('form-data; name="file"; filename="x"; filename*=UTF-8\'\'%C3%A9.png', "é.png"),
        ('form-data; name="file"; filename=""', ""),
        ('form-data; name="file"; filename="a;b=c.png"', "a;b=c.png"),
        (b'form-data; name="file"; filename="\xff\xfe.png"', "\ufffd\ufffd.png"),
        ('form-data; name="file"; filename="filename*=utf-8\'\'x"', "filename*=utf-8''x"),
    ],
)
async def test_a_files_name_comes_as_it_was_meant(
    alice: Context, disposition: str | bytes, filename: str
) -> None:
    received = await _receive(alice, _body(_part(b"x", disposition)))
    assert received.files == {"file": (filename, b"x")}


async def test_a_stranger_is_refused_before_anything_is_read(alice: Context) -> None:
    async def unread() -> AsyncGenerator[bytes, None]:
        raise AssertionError("it was read")
        yield b""

    nobody = replace(alice, viewer=None)
    with pytest.raises(Unauthenticated):
        async with receive_form(nobody, a_body(unread()), max_files=1):
            pass


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not a form at all",
        _part(b"no end"),
        _body(_part(b"x"))[:-10],
        _body(_part(b"x", "form-data")),
        _body(_part(b"x", "attachment")),
        _body(_part(b"\xff", 'form-data; name="field"')),
        _body(_part(b"x", headers=b"X: " + b"y" * 20_000 + b"\r\n")),
        _body(_part(b"x", headers=b"X" * 20_000 + b": y\r\n")),
        _body(_part(b"1"), _part(b"2", 'form-data; name="other"; filename="b"')),
        _body(*[_part(b"", f'form-data; name="{n}"') for n in range(MAX_FIELDS + 1)]),
    ],
)
async def test_what_is_no_form_is_refused_and_leaves_nothing(alice: Context, body: bytes) -> None:
    for chunk in (1, 100_000):
        with pytest.raises((BadInput, PayloadTooLarge)):
            await _receive(alice, body, chunk=chunk)
    assert _leftovers(alice) == []


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "multipart/form-data",
        "multipart/mixed; boundary=b0undary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 71,
    ],
)
async def test_another_type_of_body_is_refused(alice: Context, content_type: str) -> None:
    with pytest.raises(BadInput):
        await _receive(alice, _body(_part(b"x")), content_type=content_type)


async def test_two_files_of_one_name_are_refused(alice: Context) -> None:
    with pytest.raises(BadInput):
        await _receive(alice, _body(_part(b"1"), _part(b"2")), max_files=2)


async def test_as_many_files_as_are_asked_for_are_taken(alice: Context) -> None:
    body = _body(_part(b"1"), _part(b"2", 'form-data; name="other"; filename="b"'))
    received = await _receive(alice, body, max_files=2)
    assert received.files == {"file": ("a.txt", b"1"), "other": ("b", b"2")}


async def test_a_file_at_the_limit_is_taken_and_one_byte_more_is_not(alice: Context) -> None:
    for chunk in (999, 100_000):
        found = await _receive(alice, _body(_part(bytes(10_000))), chunk=chunk)
        assert len(found.files["file"][1]) == 10_000
        with pytest.raises(PayloadTooLarge):
            await _receive(alice, _body(_part(bytes(10_001))), chunk=chunk)
    assert _leftovers(alice) == []


async def test_fields_have_a_limit_together(alice: Context) -> None:
    fields = [_part(b"x" * 500, f'form-data; name="{number}"') for number in range(5)]
    assert len((await _receive(alice, _body(*fields[:4]))).fields) == 4
    with pytest.raises(PayloadTooLarge):
        await _receive(alice, _body(*fields))


@pytest.mark.parametrize("place", ["file", "field", "before", "behind", "header"])
async def test_an_endless_body_is_refused_as_soon_as_it_is_too_large(
    alice: Context, place: str
) -> None:
    taken = 0

    async def endless() -> AsyncGenerator[bytes, None]:
        nonlocal taken
        if place == "file":
            yield _part(b"")[:-2]
        elif place == "field":
            yield _part(b"", 'form-data; name="field"')[:-2]
        elif place == "behind":
            yield _body(_part(b"x"))
        elif place == "header":
            yield f"--{BOUNDARY}\r\nContent-Disposition: ".encode()
        while taken < 1_000_000:
            taken += 1000
            yield b"\r" * 1000 if place == "before" else b"x" * 1000

    with pytest.raises((PayloadTooLarge, BadInput)):
        async with receive_form(alice, a_body(endless()), max_files=1):
            pass
    assert taken <= 20_000
    assert _leftovers(alice) == []


async def test_a_length_that_is_too_large_is_refused_before_the_body(alice: Context) -> None:
    with pytest.raises(PayloadTooLarge):
        await _receive(alice, _body(_part(b"x")), length="12001")
    for length in ("12000", None, "", "x", "-1"):
        assert (await _receive(alice, _body(_part(b"x")), length=length)).files


async def test_what_fails_while_a_form_is_used_leaves_nothing(alice: Context) -> None:
    form = receive_form(alice, a_body(_chunks(_body(_part(b"x")), 9)), max_files=1)
    kept = await form.__aenter__()
    assert not kept.files["file"].content.closed
    error = ZeroDivisionError()
    assert not await form.__aexit__(ZeroDivisionError, error, None)
    assert kept.files["file"].content.closed
    assert _leftovers(alice) == []
