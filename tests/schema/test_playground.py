"""The playground runs from this server's own files, pinned, and from nothing else."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from graphql import build_schema, parse, validate
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from server.headers import SecurityHeaders
from web import playground
from web.playground import playground_assets, playground_page

ORIGIN = "http://chat.test"
OWN = {"playground.js", "playground.css"}
TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
SCRIPT = (Path(playground.__file__).parent / "playground.js").read_text(encoding="utf-8")

# The part of the wire that the default tabs teach.
WIRE = """
scalar DateTime
type Query { me: User! }
type Mutation {
  register(email: String!, password: String!, displayName: String!): AuthPayload!
  login(email: String!, password: String!): AuthPayload!
  sendMessage(
    receiverId: ID, content: String, kind: MessageKind = TEXT, attachmentId: ID,
    clientMessageId: String
  ): Message!
}
type Subscription { messageAdded(after: ID): Message!  presence: PresenceChange! }
enum MessageKind { TEXT EMOJI IMAGE FILE VOICE }
type AuthPayload { token: String!  expiresAt: DateTime!  user: User! }
type User {
  id: ID!  displayName: String!  email: String  createdAt: DateTime!  online: Boolean!
  lastSeenAt: DateTime
}
type PresenceChange { user: User!  online: Boolean!  lastSeenAt: DateTime }
type Message {
  id: ID!  senderId: ID!  sender: User!  receiverId: ID  receiver: User  kind: MessageKind!
  content: String!  clientMessageId: String  createdAt: DateTime!
}
"""


class Page(HTMLParser):
    """What the page's markup names: its tags, and the text inside its scripts and styles."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._open = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in {"script", "style"}:
            self.inline += data

    def urls(self) -> list[str]:
        """Every address that the browser would load, but for data: ones."""
        named = (
            attributes.get(name)
            for _, attributes in self.tags
            for name in ("src", "href", "action", "data", "srcset")
        )
        return [url for url in named if url is not None and not url.startswith("data:")]

    def integrity(self) -> dict[str, str | None]:
        """The pin of each script and style sheet, by its address."""
        return {
            str(attributes.get("src") or attributes["href"]): attributes.get("integrity")
            for tag, attributes in self.tags
            if tag == "script" or attributes.get("rel") == "stylesheet"
        }


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async def page(request: Request) -> Response:
        return playground_page()

    routes = [Route("/graphql", page), playground_assets()]
    app = Starlette(routes=[Mount("/behind/a/proxy", routes=routes), *routes])
    transport = httpx.ASGITransport(SecurityHeaders(app))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as opened:
        yield opened


async def read_page(client: httpx.AsyncClient, prefix: str = "") -> Page:
    answer = await client.get(f"{prefix}/graphql")
    assert answer.status_code == 200
    return Page(answer.text)


def sha384(body: bytes) -> str:
    return "sha384-" + base64.b64encode(hashlib.sha384(body).digest()).decode()


def file_name(url: str) -> str:
    return Path(urlsplit(url).path).name


@pytest.mark.parametrize("prefix", ["", "/behind/a/proxy"])
async def test_every_file_the_page_names_is_served_with_its_type_and_its_pinned_bytes(
    client: httpx.AsyncClient, prefix: str
) -> None:
    pins = (await read_page(client, prefix)).integrity()
    assert len(pins) == 7
    for url, pin in pins.items():
        answer = await client.get(urljoin(f"{ORIGIN}{prefix}/graphql", url))
        assert answer.status_code == 200, url
        assert answer.headers["content-type"] == TYPES[Path(url).suffix]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert pin == (None if file_name(url) in OWN else sha384(answer.content)), url


async def test_only_the_pinned_files_are_kept_for_long(client: httpx.AsyncClient) -> None:
    for url in (await read_page(client)).integrity():
        cache_control = (await client.get(f"/{url}")).headers["cache-control"]
        expected = "no-cache" if file_name(url) in OWN else "public, max-age=31536000"
        assert cache_control == expected, url


async def test_the_page_names_no_other_origin(client: httpx.AsyncClient) -> None:
    urls = (await read_page(client)).urls()
    assert urls
    for url in urls:
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc) == ("", ""), url
        assert not parts.path.startswith("/"), url


def test_our_script_and_style_name_no_address() -> None:
    style = Path(playground.__file__).with_name("playground.css").read_text(encoding="utf-8")
    assert "//" not in re.sub(r"(?m)^\s*//.*$", "", SCRIPT)
    assert "url(" not in style
    assert "@import" not in style


async def test_the_page_has_no_inline_script_or_style(client: httpx.AsyncClient) -> None:
    page = await read_page(client)
    assert page.inline.strip() == ""
    for tag, attributes in page.tags:
        assert tag not in {"style", "iframe", "object", "embed", "base"}
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag


async def test_the_page_is_html_under_a_strict_policy(client: httpx.AsyncClient) -> None:
    headers = (await client.get("/graphql")).headers
    policy = {
        name: sources
        for name, *sources in map(str.split, headers["content-security-policy"].split(";"))
    }
    assert policy.pop("style-src")[0] == "'self'"
    assert policy == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "font-src": ["data:"],
        "img-src": ["data:"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["vary"] == "Accept"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nothing.js",
        "/playground.html",
        "/playground.py",
        "/playground.js/",
        "/fetch.umd.js",
        "/graphiql.min.js",
        "/..%2fplayground.py",
        "/%2e%2e/%2e%2e/pyproject.toml",
        "/%2e%2e%2f%2e%2e%2fpyproject.toml",
        "/playground.js%2f..%2fplayground.py",
        "/..%5cplayground.py",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
    ],
)
async def test_any_other_name_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get("/graphql/playground/playground.js")).status_code == 200
    assert (await client.get(f"/graphql/playground{path}")).status_code == 404


def test_the_default_tabs_teach_operations_of_the_wire() -> None:
    schema = build_schema(WIRE)
    tabs = dict(re.findall(r"^const ([A-Z_]+) = `(#[^`]*)`;$", SCRIPT, re.MULTILINE))
    assert list(tabs) == ["REGISTER", "SEND_MESSAGE", "MESSAGE_ADDED", "PRESENCE"]
    assert re.findall(r"{ query: ([A-Z_]+)", SCRIPT) == list(tabs)
    for name, text in tabs.items():
        assert validate(schema, parse(text)) == [], name
