"""Every answer, whoever gives it, tells browsers what it may be used for, and not who made it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.raw_http import Answer, RawConnection
from tests.support.faces import Account, new_account
from tests.support.files import image_file
from tests.support.server import RunningServer, running_server

BROWSER = {"Accept": "text/html"}
POLLING = "/socket.io/?EIO=4&transport=polling"
API_POLICY = "default-src 'none'; frame-ancestors 'none'"


@pytest.fixture
async def alice(sqlite_chat: RunningServer) -> Account:
    return await new_account(sqlite_chat)


@pytest.fixture
async def http(sqlite_chat: RunningServer, alice: Account) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=headers) as client:
        yield client


def check(headers: Any) -> None:
    """What holds of every answer."""
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cross-origin-resource-policy"] in {"same-origin", "cross-origin"}
    assert headers["cache-control"]
    assert "strict-transport-security" not in headers
    for banner in ("server", "x-powered-by", "via"):
        assert banner not in headers
    if isinstance(headers, httpx.Headers):
        single = [name for name, _ in headers.multi_items() if name != "vary"]
        assert len(single) == len({*single}), "a header is there twice"


async def upload(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.post("/api/uploads", files={"f": ("a.png", image_file("PNG", 32, 32))})
    assert answer.status_code == 201
    uploaded: dict[str, Any] = answer.json()
    return uploaded


REQUESTS: dict[str, tuple[int, dict[str, Any]]] = {
    "the welcome": (200, {"url": "/"}),
    "health": (200, {"url": "/health"}),
    "ready": (200, {"url": "/ready"}),
    "no such path": (404, {"url": "/nothing"}),
    "no such method": (405, {"method": "DELETE", "url": "/api/messages"}),
    "a history, streamed": (200, {"url": "/api/messages"}),
    "head": (200, {"method": "HEAD", "url": "/api/messages"}),
    "a stranger": (401, {"url": "/api/messages", "headers": {"Authorization": ""}}),
    "a body that is no JSON": (400, {"method": "POST", "url": "/api/auth/login", "content": "{"}),
    "a body too large": (
        413,
        {"method": "POST", "url": "/api/auth/login", "content": b" " * 2_000_000},
    ),
    "graphql": (200, {"method": "POST", "url": "/graphql", "json": {"query": "{ me { id } }"}}),
    "graphql, refused": (415, {"method": "POST", "url": "/graphql", "content": "x"}),
    "graphql by get": (200, {"url": "/graphql?query={__typename}"}),
    "the playground": (200, {"url": "/graphql", "headers": BROWSER}),
    "its script": (200, {"url": "/graphql/playground/playground.js"}),
    "its pinned script": (200, {"url": "/graphql/playground/react-17.0.2.js"}),
    "no such script": (404, {"url": "/graphql/playground/x.js"}),
    "the chat page": (200, {"url": "/", "headers": BROWSER}),
    "no such file of the page": (404, {"url": "/page/x/chat/app.js"}),
    "socket.io": (200, {"url": POLLING}),
    "socket.io, refused": (400, {"url": "/socket.io/?EIO=3&transport=polling"}),
    "socket.io, a session that is gone": (400, {"url": f"{POLLING}&sid=x"}),
    "no such file": (404, {"url": "/files/999999"}),
    "a forged address": (404, {"url": "/files/1?expires=1&signature=x"}),
    "a preflight": (
        200,
        {
            "method": "OPTIONS",
            "url": "/api/messages",
            "headers": {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"},
        },
    ),
    "a preflight, refused": (
        400,
        {
            "method": "OPTIONS",
            "url": "/api/messages",
            "headers": {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"},
        },
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_every_answer_has_them(http: httpx.AsyncClient, name: str) -> None:
    status, request = REQUESTS[name]
    answer = await http.request(**{"method": "GET", **request})
    assert answer.status_code == status, answer.text
    check(answer.headers)
    if not name.startswith(("the playground", "its", "the chat page")):
        assert answer.headers["content-security-policy"] == API_POLICY
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


async def test_files_have_them_and_may_be_shown_by_other_sites(http: httpx.AsyncClient) -> None:
    picture = await upload(http)
    fresh = await http.get(picture["url"])
    for headers, status in (
        ({}, 200),
        ({"Range": "bytes=0-9"}, 206),
        ({"Range": "bytes=999999-"}, 416),
        ({"If-None-Match": fresh.headers["etag"]}, 304),
    ):
        for method in ("GET", "HEAD"):
            answer = await http.request(method, picture["url"], headers=headers)
            assert method == "HEAD" or answer.status_code == status
            check(answer.headers)
            assert answer.headers["content-security-policy"].endswith("sandbox")
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
            assert answer.headers["cache-control"].startswith("private, max-age=")
            # Or a page would get from the cache what `<img>` was answered, without CORS.
            assert "origin" in answer.headers["vary"].lower()


async def test_what_is_no_http_is_refused_with_them(sqlite_chat: RunningServer) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"A B C D\r\n\r\n"):
        async with RawConnection(sqlite_chat.settings.port) as connection:
            await connection.send(garbage)
            answer: Answer = await connection.answer()
            assert answer.status == 400
            check(answer.headers)
            assert await connection.ended()


async def test_what_nobody_foresaw_has_them(
    sqlite_chat: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError("hidden")

    monkeypatch.setattr(sqlite_chat.app.router, "app", fails)
    monkeypatch.setattr(sqlite_chat.app.router, "middleware_stack", fails)
    async with httpx.AsyncClient(base_url=sqlite_chat.url) as http:
        answer = await http.get("/")
        assert answer.status_code == 500
        assert "hidden" not in answer.text
        check(answer.headers)


async def test_a_file_is_private_to_whoever_asks_with_a_token(http: httpx.AsyncClient) -> None:
    picture = await upload(http)
    answer = await http.get(f"/files/{picture['id']}")
    assert answer.headers["cache-control"] == "private, no-cache"


async def test_browsers_insist_on_https_where_they_are_told_to(tmp_path: Path) -> None:
    with running_server(tmp_path, hsts_seconds=31536000) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            for path in ("/health", "/nothing", "/graphql/playground/playground.js"):
                answer = await http.get(path)
                assert answer.headers["strict-transport-security"] == "max-age=31536000"
