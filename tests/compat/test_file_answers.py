"""`GET /files/{id}`: ranges, conditions, and headers under which nothing in a file can run."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from tests.compat.test_files import without_date
from tests.compat.test_rest import bearer
from tests.compat.test_uploads import upload
from tests.support.faces import new_account
from tests.support.files import HTML, SVG, animation, image_file, polyglot, video, voice
from tests.support.server import RunningServer

CONTENT = bytes(range(256)) * 800  # several chunks of what is read at once
SIZE = len(CONTENT)


@pytest.fixture(scope="module")
async def http(sqlite_chat: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of somebody's."""
    headers = bearer(await new_account(sqlite_chat))
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=headers) as client:
        yield client


@pytest.fixture(scope="module")
async def file(http: httpx.AsyncClient) -> dict[str, Any]:
    return await upload(http, CONTENT, "a.bin")


RANGES: dict[str, tuple[str, slice]] = {
    "first bytes": ("bytes=0-99", slice(0, 100)),
    "one byte": ("bytes=0-0", slice(0, 1)),
    "the middle": ("bytes=70000-140000", slice(70000, 140001)),
    "open-ended": ("bytes=1000-", slice(1000, SIZE)),
    "all of it": ("bytes=0-", slice(0, SIZE)),
    "the last byte": (f"bytes={SIZE - 1}-", slice(SIZE - 1, SIZE)),
    "a suffix": ("bytes=-500", slice(SIZE - 500, SIZE)),
    "a suffix longer than it": (f"bytes=-{SIZE * 2}", slice(0, SIZE)),
    "an end beyond it": (f"bytes=100-{SIZE * 9}", slice(100, SIZE)),
    "capitals": ("Bytes=5-9", slice(5, 10)),
}


@pytest.mark.parametrize("name", RANGES)
async def test_a_range_is_served(http: httpx.AsyncClient, file: dict[str, Any], name: str) -> None:
    asked, part = RANGES[name]
    for path in (f"/files/{file['id']}", file["url"]):
        answer = await http.get(path, headers={"Range": asked})
        assert answer.status_code == 206
        assert answer.content == CONTENT[part]
        assert answer.headers["content-range"] == f"bytes {part.start}-{part.stop - 1}/{SIZE}"
        assert answer.headers["content-length"] == str(part.stop - part.start)
        assert answer.headers["etag"]


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0"])
async def test_a_range_beyond_the_end_is_refused_with_the_size(
    http: httpx.AsyncClient, file: dict[str, Any], asked: str
) -> None:
    answer = await http.get(file["url"], headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert answer.json()["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "asked",
    [
        *("bytes=0-1,5-9", "bytes=9-5", "bytes=", "bytes=-", "bytes=a-b", "bytes", "lines=0-5"),
        *("bytes=-1-5", "bytes=1--5", "bytes=0x1-5", "bytes= 0 - 5", "", "bytes=٣-٤", "0-5"),
        f"bytes={'9' * 5000}-",
    ],
)
async def test_a_range_that_is_none_of_ours_gets_all_there_is(
    http: httpx.AsyncClient, file: dict[str, Any], asked: str
) -> None:
    answer = await http.get(file["url"], headers={b"Range": asked.encode()})
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == str(SIZE)
    assert "content-range" not in answer.headers


async def test_if_range_gives_the_range_of_the_same_file_only(
    http: httpx.AsyncClient, file: dict[str, Any]
) -> None:
    etag = (await http.get(file["url"])).headers["etag"]
    assert etag == f'"{file["sha256"]}"'
    for condition, status in (
        (etag, 206),
        ('"another"', 200),
        (f"W/{etag}", 200),  # RFC 9110 §13.1.5: only a strong one is enough
        ("Tue, 24 Nov 2026 12:00:00 GMT", 200),
        ("", 200),
    ):
        headers = {"Range": "bytes=0-9", "If-Range": condition}
        answer = await http.get(file["url"], headers=headers)
        assert answer.status_code == status
        assert answer.content == (CONTENT[:10] if status == 206 else CONTENT)


async def test_what_a_client_has_is_not_sent_again(
    http: httpx.AsyncClient, file: dict[str, Any]
) -> None:
    etag = f'"{file["sha256"]}"'
    for header in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        for more in ({}, {"Range": "bytes=0-9"}):
            answer = await http.get(file["url"], headers={"If-None-Match": header, **more})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["etag"] == etag
            assert "private" in answer.headers["cache-control"]
    for header in ('"x"', file["sha256"], ""):
        answer = await http.get(file["url"], headers={"If-None-Match": header})
        assert (answer.status_code, answer.content) == (200, CONTENT)


async def test_a_file_and_its_thumbnail_are_told_apart(http: httpx.AsyncClient) -> None:
    picture = await upload(http, image_file("JPEG", 800, 600), "a.jpg")
    whole, small = await http.get(picture["url"]), await http.get(picture["thumbnailUrl"])
    assert whole.headers["etag"] != small.headers["etag"]
    headers = {"If-None-Match": whole.headers["etag"]}
    assert (await http.get(picture["thumbnailUrl"], headers=headers)).status_code == 200
    assert 'filename="a.webp"' in small.headers["content-disposition"]
    part = await http.get(picture["thumbnailUrl"], headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")


async def test_head_tells_all_and_sends_nothing(
    http: httpx.AsyncClient, file: dict[str, Any]
) -> None:
    got = await http.get(file["url"])
    # RFC 9110 §14.2: a range is only defined for GET.
    for headers in ({}, {"Range": "bytes=0-9"}, {"Range": f"bytes={SIZE}-"}):
        head = await http.head(file["url"], headers=headers)
        assert (head.status_code, head.content) == (200, b"")
        told, known = without_date(head), without_date(got)
        # By the second that the address is good for.
        assert told.pop("cache-control")[:17] == known.pop("cache-control")[:17]
        assert told == known


async def test_only_the_client_itself_may_keep_it_and_nothing_in_it_runs(
    http: httpx.AsyncClient, file: dict[str, Any]
) -> None:
    for path in (file["url"], f"/files/{file['id']}"):
        for more in ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=999999-"}):
            headers = (await http.get(path, headers=more)).headers
            assert headers["cache-control"].startswith("private")
            assert headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in headers["content-security-policy"]
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "allow" not in headers["content-security-policy"]
            assert headers["referrer-policy"] == "no-referrer"
            assert "Authorization" in headers["vary"]
    signed = (await http.get(file["url"])).headers["cache-control"]
    assert 0 < int(signed.partition("max-age=")[2]) <= 3600 * 5 / 4
    # By token it is asked for each time: who may see it can change.
    assert "no-cache" in (await http.get(f"/files/{file['id']}")).headers["cache-control"]


SHOWN: dict[str, tuple[bytes, str]] = {
    "a.jpg": (image_file("JPEG"), "image/jpeg"),
    "a.png": (image_file("PNG"), "image/png"),
    "a.gif": (animation("GIF"), "image/gif"),
    "a.webp": (image_file("WEBP"), "image/webp"),
    "a.avif": (image_file("AVIF", 64, 48), "image/avif"),
    "a.ogg": (voice("audio/ogg", tone=0.2), "audio/ogg"),
    "a.webm": (voice("audio/webm", tone=0.2), "audio/webm"),
    "a.m4a": (voice("audio/mp4", tone=0.2), "audio/mp4"),
    "a.mp3": (voice("audio/mpeg", tone=0.2), "audio/mpeg"),
    "a.wav": (voice("audio/wav", tone=0.2), "audio/wav"),
    "a.mp4": (video(), "video/mp4"),
}


@pytest.mark.parametrize("name", SHOWN)
async def test_pictures_sound_and_video_are_shown(http: httpx.AsyncClient, name: str) -> None:
    content, media_type = SHOWN[name]
    answer = await http.get((await upload(http, content, name))["url"])
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"].startswith("inline;")
    assert f'filename="{name}"' in answer.headers["content-disposition"]


PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
ZIP = b"PK\3\4" + bytes(100)
DOWNLOADS: dict[str, tuple[str, bytes]] = {
    "HTML": ("a.html", HTML),
    "HTML named .png": ("a.png", HTML),
    "SVG": ("a.svg", SVG),
    "SVG named .png": ("a.png", SVG),
    "SVG with a declaration": ("a.svg", b"<?xml version='1.0'?>" + SVG),
    "PDF": ("a.pdf", PDF),
    "PDF named .jpg": ("a.jpg", PDF),
    "script": ("a.js", b"alert(1)"),
    "XML": ("a.xml", b"<?xml version='1.0'?><a xmlns='http://www.w3.org/1999/xhtml'/>"),
    "ZIP": ("a.zip", ZIP),
    "text": ("a.txt", b"hello"),
    "nothing": ("a.png", b""),
}


@pytest.mark.parametrize("name", DOWNLOADS)
@pytest.mark.parametrize("kind", ["", "FILE"])
async def test_everything_else_is_a_download(http: httpx.AsyncClient, name: str, kind: str) -> None:
    filename, content = DOWNLOADS[name]
    files = {"f": (filename, content, "text/html")}
    uploaded = await http.post("/api/uploads", files=files, data={"kind": kind})
    assert uploaded.status_code == 201, uploaded.text
    answer = await http.get(uploaded.json()["url"])
    assert answer.content == content
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["content-type"].partition(";")[0] not in {
        *("text/html", "image/svg+xml", "text/xml", "application/xml", "application/xhtml+xml"),
        *("text/javascript", "application/javascript"),
    }
    assert uploaded.json()["thumbnailUrl"] is None


@pytest.mark.parametrize("behind", [HTML, ZIP], ids=["HTML", "ZIP"])
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP"])
async def test_what_hides_in_a_picture_is_not_served_as_one(
    http: httpx.AsyncClient, format_: str, behind: bytes
) -> None:
    picture = polyglot(format_).removesuffix(HTML) + behind
    shown = await upload(http, picture, "a.html")
    answer = await http.get(shown["url"])
    assert answer.headers["content-type"] == f"image/{format_.lower()}"
    assert behind not in answer.content
    assert behind not in (await http.get(shown["thumbnailUrl"])).content
    kept = await upload(http, picture, "a.html", kind="FILE")
    answer = await http.get(kept["url"])
    assert answer.content == picture
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"


NAMES = [
    *("grüße.txt", "文件 📎.txt", "ملف.txt", "קובץ.txt", "файл.txt", "ไฟล์.txt", "e\u0301.txt"),
    *('a"b.txt', 'a";x="y.txt', "a;b.txt", "a,b.txt", "a'b.txt", "a%20b.txt", "a?b#c.txt", "ab=.c"),
    *("a\r\nX-Bad: 1.txt", "a\nb.txt", "a\tb.txt", "a\x7fb.txt", "a\x80b.txt", "a\u2028b.txt"),
    *("👩‍👩‍👧‍👦.png", "x" * 300, "€" * 300 + ".txt", "a&b<c>.txt"),
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:24])
async def test_a_name_of_any_script_comes_back_and_breaks_no_header(
    http: httpx.AsyncClient, name: str
) -> None:
    form = {"file": ("plain", b"x")}
    request = http.build_request("POST", "/api/uploads", files=form)
    encoded = "".join(f"%{byte:02X}" for byte in name.encode())
    body = request.read().replace(b'filename="plain"', f"filename*=UTF-8''{encoded}".encode())
    content_type = {"Content-Type": request.headers["content-type"]}
    uploaded = await http.post("/api/uploads", content=body, headers=content_type)
    assert uploaded.status_code == 201, uploaded.text
    kept = uploaded.json()["filename"]
    answer = await http.get(uploaded.json()["url"])
    assert answer.status_code == 200
    assert "x-bad" not in answer.headers
    shown, plain, extended = split_disposition(answer.headers["content-disposition"])
    assert shown == "attachment"
    assert plain.isascii()
    assert plain.isprintable()
    assert not set(plain) & set('"\\%')
    assert unquote(extended, errors="strict") == kept
    if name.isprintable() and len(name) < 100:
        assert kept.isprintable() or "\u200d" in kept


def split_disposition(header: str) -> tuple[str, str, str]:
    """Take apart the one form that every client reads (RFC 6266, appendix D)."""
    shown, plain, extended = header.split("; filename")
    assert plain[:2] == '="'
    assert plain[-1] == '"'
    assert extended.startswith("*=UTF-8''")
    return shown, plain[2:-1], extended.removeprefix("*=UTF-8''")


async def test_pages_of_other_sites_may_read_what_they_need(
    http: httpx.AsyncClient, file: dict[str, Any]
) -> None:
    origin = {"Origin": "https://app.example"}
    for more in ({}, {"Range": "bytes=0-9"}, {"If-None-Match": f'"{file["sha256"]}"'}):
        headers = (await http.get(file["url"], headers={**origin, **more})).headers
        assert headers["access-control-allow-origin"] == "*"
        exposed = headers["access-control-expose-headers"].lower().split(", ")
        assert {"etag", "accept-ranges", "content-range", "content-disposition"} <= {*exposed}
    asked = {
        **origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization, range",
    }
    preflight = await http.options(f"/files/{file['id']}", headers=asked)
    assert preflight.status_code == 200
    assert "range" in preflight.headers["access-control-allow-headers"]
    for path in (f"/files/{file['id']}?signature=x", "/files/0"):
        answer = await http.get(path, headers=origin)
        assert answer.headers["access-control-allow-origin"] == "*"
