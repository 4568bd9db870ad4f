"""The chat page is served from this server's own files, small, kept, and under a strict policy."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from settings import Settings
from tests.schema.test_playground import Page
from tests.support.server import RunningServer, running_server
from web import chat_page
from web.chat_page import ChatPage, content_security_policy

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
WELCOME = {"name": "Parley", "graphql": "/graphql", "rest": "/api", "socketio": "/socket.io/"}
LARGEST_PAGE = 150_000
LARGEST_FILE = 400
OURS = Path(chat_page.__file__).parent / "chat"
ORIGIN = "http://chat.test"


@pytest.fixture
async def http(sqlite_chat: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=BROWSER) as client:
        yield client


async def load(http: httpx.AsyncClient) -> tuple[httpx.Response, dict[str, httpx.Response]]:
    """Return the page, and every file that it names."""
    page = await http.get("/")
    return page, {url: await http.get(f"/{url}") for url in Page(page.text).urls()}


async def test_browsers_get_the_page_and_everybody_else_the_welcome(
    http: httpx.AsyncClient,
) -> None:
    page = await http.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for accept in ("application/json", "*/*", ""):
        answer = await http.get("/", headers={"Accept": accept})
        assert answer.json() == WELCOME
        assert answer.headers["cache-control"] == "no-store"
        assert "Accept" in answer.headers["vary"]


async def test_all_that_the_page_loads_is_small(http: httpx.AsyncClient) -> None:
    page, files = await load(http)
    assert len(files) > 40
    sizes = {url: int(answer.headers["content-length"]) for url, answer in files.items()}
    assert {url for url, answer in files.items() if answer.status_code != 200} == set()
    total = sum(sizes.values()) + int(page.headers["content-length"])
    assert total < LARGEST_PAGE, f"{total} bytes"


async def test_the_page_names_every_module_that_it_imports(http: httpx.AsyncClient) -> None:
    _, files = await load(http)
    for url, answer in files.items():
        for name in re.findall(r'(?m)^(?:import|export)\b[^;]*? from "([^"]+)";', answer.text):
            imported = httpx.URL(f"{ORIGIN}/{url}").join(name).path.removeprefix("/")
            assert imported in files, f"{url} imports {name}"


async def test_files_are_kept_for_good_and_the_page_is_asked_for(http: httpx.AsyncClient) -> None:
    page, files = await load(http)
    assert page.headers["cache-control"] == "no-cache"
    for url, answer in files.items():
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable", url
    tag = page.headers["etag"]
    for given, status in (
        (tag, 304),
        (tag.removeprefix("W/"), 304),
        (f'"x", {tag}', 304),
        ('"x"', 200),
    ):
        again = await http.get("/", headers={"If-None-Match": given})
        assert again.status_code == status, given
        assert (again.content == b"") is (status == 304)
        assert again.headers["content-security-policy"] == page.headers["content-security-policy"]


async def test_files_are_compressed_for_those_who_take_it(sqlite_chat: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=BROWSER) as http:
        for encoding in ("identity", "gzip, br"):
            answer = await http.get("/", headers={"Accept-Encoding": encoding})
            expected = "gzip" if "gzip" in encoding else None
            assert answer.headers.get("content-encoding") == expected
            assert "Accept-Encoding" in answer.headers["vary"]
            assert answer.text.startswith("<!doctype html>")


async def test_another_version_and_another_file_are_not_found(http: httpx.AsyncClient) -> None:
    _, files = await load(http)
    script = next(url for url in files if url.endswith("chat/app.js"))
    version = script.split("/")[1]
    for wrong in (
        script.replace(version, "0" * 16),
        f"page/{version}/chat/index.html",
        f"page/{version}/chat/../chat_page.py",
        f"page/{version}/client/dist/react.js",
        f"page/{version}/",
        "page",
    ):
        answer = await http.get(f"/{wrong}")
        assert answer.status_code == 404, wrong
        assert answer.headers["cache-control"] == "no-store"


async def test_the_policy_lets_nothing_in_but_our_own(http: httpx.AsyncClient) -> None:
    headers = (await http.get("/")).headers
    assert policy_of(headers["content-security-policy"]) == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "blob:"],
        "media-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["'none'"],
    }
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["permissions-policy"].startswith("microphone=(self)")


def test_files_at_another_address_may_be_shown() -> None:
    policy = policy_of(content_security_policy("https://files.example.com/parley/"))
    assert policy["img-src"] == ["'self'", "https://files.example.com", "blob:"]
    assert policy["media-src"] == policy["img-src"]
    assert policy["script-src"] == ["'self'"]


async def test_the_page_names_no_other_origin_and_nothing_inline(http: httpx.AsyncClient) -> None:
    page = Page((await http.get("/")).text)
    for url in page.urls():
        assert re.fullmatch(r"page/[0-9a-f]{16}/(chat|client/dist)/[a-z-]+\.(js|css|svg)", url)
    assert page.inline.strip() == ""
    for tag, attributes in page.tags:
        assert tag not in {"style", "iframe", "object", "embed", "base"}
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag


async def test_it_works_below_a_path_of_a_proxy() -> None:
    chat = ChatPage()

    async def page(request: Request) -> Response:
        return chat.page(request)

    routes = [Route("/", page), chat.files_route()]
    app = Starlette(routes=[Mount("/behind/a/proxy", routes=routes)])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        for url in Page((await http.get("/behind/a/proxy/")).text).urls():
            assert (await http.get(f"/behind/a/proxy/{url}")).status_code == 200


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    with running_server(tmp_path, chat_page=False) as server:
        async with httpx.AsyncClient(base_url=server.url, headers=BROWSER) as http:
            assert (await http.get("/")).json() == WELCOME
            answer = await http.get(f"/page/{ChatPage().version}/chat/app.js")
            assert answer.status_code == 404


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, True),
        ({"env": "production"}, False),
        ({"env": "production", "chat_page": "on"}, True),
        ({"chat_page": "off"}, False),
    ],
)
def test_it_is_on_but_for_production(given: dict[str, Any], shown: bool) -> None:
    secret = "Zq3vX9tLk2Rw8Yp5Nb7Mc4Hd6Jf1Gs0A"
    assert Settings(_env_file=None, jwt_secret=secret, **given).shows_chat_page is shown


def test_the_page_is_an_example_to_read() -> None:
    files = [path for path in OURS.iterdir() if path.suffix in {".js", ".css", ".html"}]
    assert len(files) > 20
    for path in files:
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) <= LARGEST_FILE, path.name
        assert path.suffix == ".html" or lines[0].startswith("/* "), f"{path.name} says what it is"
        assert "innerHTML" not in path.read_text("utf-8"), path.name


def test_compressing_is_the_same_each_time() -> None:
    assert ChatPage().version == ChatPage().version
    file = chat_page._packed(b"a" * 1000)
    assert gzip.decompress(file.compressed) == file.content


def policy_of(header: str) -> dict[str, list[str]]:
    return {name: sources for name, *sources in map(str.split, header.split(";"))}
