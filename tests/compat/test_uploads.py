"""`POST /api/uploads`: what a form may hold, and what a file may be called."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from resolvers.attachments import forms
from tests.compat.test_rest import bearer
from tests.support.faces import Account, new_account
from tests.support.files import image_file, truncated, voice
from tests.support.server import RunningServer, running_server

LIMIT = 64 * 1024
BODY_LIMIT = 16 * 1024
BOUNDARY = "just-a-boundary"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
PNG = image_file("PNG", 40, 30)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with low limits."""
    with running_server(
        tmp_path_factory.mktemp("small"),
        max_image_bytes=LIMIT,
        max_voice_bytes=LIMIT,
        max_file_bytes=LIMIT,
        max_body_bytes=BODY_LIMIT,
        max_unsent_uploads=1000,
    ) as server:
        yield server


@pytest.fixture(scope="module")
async def alice(small: RunningServer) -> Account:
    return await new_account(small, "Alice")


@pytest.fixture
async def http(small: RunningServer, alice: Account) -> AsyncIterator[httpx.AsyncClient]:
    """Alice's client; whatever the test sent, nothing of it lies about, and the server goes on."""
    kept = files_in(small)
    async with httpx.AsyncClient(base_url=small.url, headers=bearer(alice)) as client:
        yield client
        assert (await client.get("/health")).status_code == 200
    left = {path for path in files_in(small) - kept if not is_kept(small, path)}
    assert left == set()


def files_in(server: RunningServer) -> set[Path]:
    return {path for path in server.settings.data_dir.rglob("*") if path.is_file()}


def is_kept(server: RunningServer, path: Path) -> bool:
    """Whether the file is what its name says: the whole of what was uploaded, or the database."""
    if path.parent.parent != server.settings.data_dir / "files":
        return path.name.startswith("parley.db")
    whole = path.suffix == ".webp" or path.name.startswith(
        hashlib.sha256(path.read_bytes()).hexdigest()
    )
    return whole and "#" not in path.name


def part(disposition: str | bytes, content: bytes = b"", *headers: bytes) -> bytes:
    """Return a part of a form, up to the next boundary."""
    plain = disposition if isinstance(disposition, bytes) else disposition.encode()
    lines = [b"Content-Disposition: form-data; " + plain, *headers]
    return b"--%s\r\n%s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), b"\r\n".join(lines), content)


END = f"--{BOUNDARY}--\r\n".encode()


async def post_form(
    http: httpx.AsyncClient, *parts: bytes, end: bytes = END, content_type: str = MULTIPART
) -> httpx.Response:
    headers = {b"Content-Type": content_type.encode("latin-1")}
    return await http.post("/api/uploads", content=b"".join(parts) + end, headers=headers)


async def upload(
    http: httpx.AsyncClient, content: bytes, filename: str = "a.bin", **fields: str
) -> dict[str, Any]:
    answer = await http.post("/api/uploads", files={"file": (filename, content)}, data=fields)
    assert answer.status_code == 201, answer.text
    uploaded: dict[str, Any] = answer.json()
    return uploaded


def expect_refusal(answer: httpx.Response, code: str, says: str = "") -> None:
    status = {"BAD_USER_INPUT": 400, "PAYLOAD_TOO_LARGE": 413, "RATE_LIMITED": 429}[code]
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    hint = {"retryAfterMs"} if status == 429 else set()
    assert answer.json().keys() == {"message", "code"} | hint
    assert says in answer.json()["message"]


async def test_an_upload_says_what_the_file_is(http: httpx.AsyncClient) -> None:
    told = await upload(http, PNG, "holiday.png")
    assert type(told["id"]) is int
    assert told["createdAt"].endswith("Z")
    assert told["url"].startswith(f"/files/{told['id']}?expires=")
    assert told["thumbnailUrl"].startswith(f"/files/{told['id']}/thumbnail?expires=")
    assert told | {"id": 0, "createdAt": "", "url": "", "thumbnailUrl": ""} == {
        "id": 0,
        "kind": "IMAGE",
        "filename": "holiday.png",
        "mediaType": "image/png",
        "size": len(PNG),
        "sha256": hashlib.sha256(PNG).hexdigest(),
        "width": 40,
        "height": 30,
        "durationMs": None,
        "waveform": None,
        "url": "",
        "thumbnailUrl": "",
        "createdAt": "",
    }
    note = await upload(http, voice("audio/ogg", silence=0.5, tone=0.5), "note")
    assert (note["kind"], note["mediaType"], note["thumbnailUrl"]) == ("VOICE", "audio/ogg", None)
    assert abs(note["durationMs"] - 1000) < 100
    assert 0 < len(note["waveform"]) <= 100
    text = await upload(http, b"hello", "a.txt")
    assert (text["kind"], text["waveform"], text["width"]) == ("FILE", None, None)


async def test_the_file_may_have_any_field_and_stand_anywhere_in_the_form(
    http: httpx.AsyncClient,
) -> None:
    file, field = part('name="whatever"; filename="a.png"', PNG), part('name="kind"', b"file")
    for parts in ((file, field), (field, file)):
        answer = await post_form(http, *parts)
        assert answer.status_code == 201, answer.text
        assert answer.json()["kind"] == "FILE"
    nothing_asked = await post_form(http, part('name="kind"'), file)
    assert nothing_asked.json()["kind"] == "IMAGE"
    # A preamble is not there for RFC 7578, an epilogue is there to be ignored.
    late = await post_form(http, file, end=END + b"whatever follows")
    assert late.status_code == 201


async def test_a_kind_that_the_file_is_not_is_refused(http: httpx.AsyncClient) -> None:
    for content, kind in (
        (b"hello", "IMAGE"),
        (b"hello", "VOICE"),
        (PNG, "VOICE"),
        (PNG, "TEXT"),
        (PNG, "EMOJI"),
        (PNG, "SMELL"),
        (truncated(PNG), "IMAGE"),
    ):
        answer = await http.post("/api/uploads", files={"f": content}, data={"kind": kind})
        expect_refusal(answer, "BAD_USER_INPUT")
    assert (await upload(http, truncated(PNG), kind="FILE"))["kind"] == "FILE"
    assert (await upload(http, PNG, kind="image"))["kind"] == "IMAGE"


@pytest.mark.parametrize("kinds", [("FILE", "IMAGE"), ("IMAGE", "FILE")], ids="-".join)
async def test_the_same_bytes_are_what_each_upload_asks_for(
    http: httpx.AsyncClient, kinds: tuple[str, str]
) -> None:
    content = image_file("PNG", 20, 10 + len(kinds[0]))
    for kind in kinds:
        told = await upload(http, content, "a.png", kind=kind)
        shown = (await http.get(told["url"])).headers["content-disposition"].partition(";")[0]
        if kind == "IMAGE":
            assert (told["width"], told["mediaType"], shown) == (20, "image/png", "inline")
            assert (await http.get(told["thumbnailUrl"])).status_code == 200
        else:
            assert (told["width"], told["thumbnailUrl"], shown) == (None, None, "attachment")


async def test_an_empty_file_is_a_file(http: httpx.AsyncClient) -> None:
    empty = await upload(http, b"", "nothing.txt")
    assert (empty["kind"], empty["size"]) == ("FILE", 0)
    assert (await http.get(empty["url"])).content == b""


NAMES: dict[str, tuple[str | bytes, str]] = {
    "plain": ('filename="a.txt"', "a.txt"),
    "raw UTF-8": ('filename="grüße 🎉 文件.txt"', "grüße 🎉 文件.txt"),
    "RFC 2231": ("filename*=UTF-8''gr%C3%BC%C3%9Fe%20%F0%9F%8E%89.txt", "grüße 🎉.txt"),
    "RFC 2231 beside a plain one": ("filename=\"_.txt\"; filename*=utf-8''%E2%82%AC.txt", "€.txt"),
    "RFC 2231 in a plain one": (
        "filename=\"a; filename*=utf-8''b.txt\"",
        "a; filename*=utf-8''b.txt",
    ),
    "a quotation mark of a browser": ('filename="a%22b.txt"', 'a"b.txt'),
    "a quotation mark, escaped": (r'filename="a\"b.txt"', 'a"b.txt'),
    "a path": ('filename="../../etc/passwd"', "passwd"),
    "a path of Windows": (r'filename="C:\\temp\\a.txt"', "a.txt"),
    "an encoded path": ("filename*=utf-8''..%2F..%2Fa.txt", "a.txt"),
    "only dots": ('filename="../.."', "file"),
    "NUL": (b'filename="a\0b.txt"', "ab.txt"),
    "an encoded NUL": ("filename*=utf-8''a%00.txt", "a.txt"),
    "an encoded new line": ("filename*=utf-8''a%0D%0AX-Bad:%201.txt", "aX-Bad: 1.txt"),
    "right to left": ('filename="annexe\u202egpj.exe"', "annexegpj.exe"),
    "isolated": ('filename="\u2066a\u2069\u200b.txt"', "a.txt"),
    "not UTF-8": (b'filename="\xff\xfe.txt"', "\ufffd\ufffd.txt"),
    "empty": ('filename=""', "file"),
    "spaces": ('filename="  . "', "file"),
    "300 characters": (f'filename="{"é" * 300}.txt"', "é" * 125 + ".txt"),
    "300 characters and no end": (f'filename="{"x" * 300}"', "x" * 255),
}


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_is_made_safe_and_stays_readable(http: httpx.AsyncClient, name: str) -> None:
    sent, kept = NAMES[name]
    plain = sent if isinstance(sent, bytes) else sent.encode()
    answer = await post_form(http, part(b'name="f"; ' + plain, b"some text"))
    assert answer.status_code == 201, answer.text
    assert answer.json()["filename"] == kept
    assert len(kept.encode()) <= 255


FILE = part('name="f"; filename="a.txt"', b"some text")
MALFORMED: dict[str, tuple[bytes, str, str]] = {
    "no file": (part('name="a"', b"x") + END, MULTIPART, "no file"),
    "no parts": (END, MULTIPART, "no file"),
    "a text field named file": (part('name="file"', PNG[:0] + b"x") + END, MULTIPART, "no file"),
    "two files": (
        FILE + part('name="g"; filename="b"', b"x") + END,
        MULTIPART,
        "more than 1 file",
    ),
    "two files of one name": (FILE + FILE + END, MULTIPART, "file"),
    "no name": (part('filename="a"', b"x") + END, MULTIPART, "no name"),
    "no disposition": (
        b"--%s\r\nX: y\r\n\r\nx\r\n" % BOUNDARY.encode() + END,
        MULTIPART,
        "no name",
    ),
    "no headers": (b"--%s\r\n\r\nx\r\n" % BOUNDARY.encode() + END, MULTIPART, ""),
    "nothing at all": (b"", MULTIPART, "cut short"),
    "no end": (FILE, MULTIPART, "cut short"),
    "cut in the file": (FILE[:-6], MULTIPART, "cut short"),
    "cut in a header": (FILE[:60], MULTIPART, "cut short"),
    "another boundary": (FILE + END, "multipart/form-data; boundary=other", "malformed"),
    "a preamble": (b"hello\r\n" + FILE + END, MULTIPART, "malformed"),
    "NUL bytes": (b"\0" * 500, MULTIPART, "malformed"),
    "JSON": (b'{"file": "x"}', "application/json", "multipart/form-data"),
    "no content type": (FILE + END, "", "multipart/form-data"),
    "another multipart": (FILE + END, f"multipart/mixed; boundary={BOUNDARY}", "form-data"),
    "no boundary": (FILE + END, "multipart/form-data", "boundary"),
    "an empty boundary": (FILE + END, 'multipart/form-data; boundary=""', "boundary"),
    "a long boundary": (FILE + END, f"multipart/form-data; boundary={'b' * 71}", "boundary"),
    "a boundary that is no text": (FILE + END, "multipart/form-data; boundary=\xff", "malformed"),
    "a huge header": (
        part('name="f"; filename="a"', b"x", b"X-Pad: " + b"y" * 20_000) + END,
        MULTIPART,
        "",
    ),
    "many headers": (part('name="f"; filename="a"', b"x", *[b"X: y"] * 500) + END, MULTIPART, ""),
    "too many fields": (
        b"".join(part(f'name="{n}"') for n in range(forms.MAX_FIELDS + 1)) + FILE + END,
        MULTIPART,
        "fields",
    ),
    "a field that is not UTF-8": (part('name="kind"', b"\xff") + FILE + END, MULTIPART, "UTF-8"),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_form_that_cannot_be_meant_is_refused(http: httpx.AsyncClient, name: str) -> None:
    body, content_type, says = MALFORMED[name]
    answer = await post_form(http, body, end=b"", content_type=content_type)
    expect_refusal(answer, "BAD_USER_INPUT", says)
