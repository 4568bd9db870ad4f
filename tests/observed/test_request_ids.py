"""The names of calls: taken where they are harmless, and given back on every answer."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from server.calls import call_of
from tests.observed.logged import Logged, dial, logging_server

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2ln"  # nobody's


def read(*headers: tuple[str, str]) -> tuple[str, str]:
    call = call_of(
        {"headers": [(name.encode(), value.encode("latin-1")) for name, value in headers]}
    )
    return call.request_id, call.trace


@pytest.mark.parametrize("id_", ["a", "5f0c-7", "Root=1-67891233-abcdef", "a/b+c=@:.", "x" * 128])
def test_a_harmless_id_is_taken(id_: str) -> None:
    assert read(("x-request-id", id_))[0] == id_


@pytest.mark.parametrize(
    "id_",
    [
        "",
        " a",
        "a b",
        "a\nb",
        'a"b',
        "a\x00",
        "ä",
        "-a",
        "x" * 129,
        TOKEN,
        f"x{TOKEN}",
        "a,b",
        "<a>",
    ],
)
def test_any_other_id_is_replaced(id_: str) -> None:
    given, _ = read(("x-request-id", id_))
    assert given != id_
    assert given.isalnum()
    assert given != read(("x-request-id", id_))[0]


def test_two_ids_are_none() -> None:
    assert read(("x-request-id", "a"), ("x-request-id", "b"))[0] not in {"a", "b"}


@pytest.mark.parametrize(
    ("sent", "given"),
    [
        (PARENT, PARENT),
        # A later version may say more, behind a dash: level 1, §4.
        (f"cc-{PARENT[3:]}-what-the-future-will-be", PARENT),
        (f"cc-{PARENT[3:]}", PARENT),
    ],
)
def test_a_valid_traceparent_is_taken_and_names_the_request(sent: str, given: str) -> None:
    assert read(("traceparent", sent)) == (TRACE, given)
    assert read(("traceparent", sent), ("x-request-id", "mine")) == ("mine", given)


@pytest.mark.parametrize(
    "sent",
    [
        "",
        PARENT.upper(),
        PARENT[:-1],
        f"{PARENT}0",
        f"{PARENT}-more",
        f"ff-{PARENT[3:]}",
        f"cc-{PARENT[3:]}more",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{PARENT}\n",
        f"cc-{PARENT[3:]}-{'x' * 300}",
        TOKEN,
    ],
)
def test_an_invalid_traceparent_is_none(sent: str) -> None:
    id_, trace = read(("traceparent", sent))
    assert trace == ""
    assert id_ != TRACE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    with logging_server(tmp_path_factory.mktemp("ids"), log_level="WARNING") as logged:
        yield logged


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/health"),
        ("GET", "/api/messages"),
        ("GET", "/nothing/here"),
        ("DELETE", "/api/messages"),
        ("GET", "/graphql?query={nothing}"),
        ("POST", "/graphql"),
        ("OPTIONS", "/graphql"),
        ("HEAD", "/graphql"),
        ("GET", "/files/1"),
        ("GET", "/socket.io/?EIO=4&transport=polling"),
        ("GET", "/socket.io/?EIO=4&transport=none"),
    ],
)
def test_every_answer_gives_the_names_back(server: Logged, method: str, path: str) -> None:
    headers = {
        "X-Request-ID": "mine-1",
        "traceparent": PARENT,
        "Origin": "https://chat.example.com",
        "Access-Control-Request-Method": "POST",
    }
    answer = httpx.request(method, server.url + path, headers=headers)
    assert answer.headers.get_list("x-request-id") == ["mine-1"]
    assert answer.headers.get_list("traceparent") == [PARENT]
    answer = httpx.request(method, server.url + path)
    assert len(answer.headers["x-request-id"]) >= 16
    assert "traceparent" not in answer.headers


def test_pages_of_other_origins_may_read_the_names(server: Logged) -> None:
    answer = httpx.get(f"{server.url}/health", headers={"Origin": "https://chat.example.com"})
    exposed = answer.headers["access-control-expose-headers"].lower()
    assert {"x-request-id", "traceparent"} <= {name.strip() for name in exposed.split(",")}


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: x\r\n\r\n",
    ],
)
def test_a_refusal_before_the_application_has_an_id(server: Logged, request_: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.parley.port), timeout=5) as connection:
        connection.sendall(request_)
        answer = connection.recv(65536).lower()
    assert answer.startswith(b"http/1.1 4")
    assert answer.count(b"\r\nx-request-id: ") == 1


async def test_the_upgrade_gives_the_names_back(server: Logged) -> None:
    async with dial(server.url, None, X_Request_ID="mine-2", traceparent=PARENT) as opened:
        assert opened.response is not None
        assert opened.response.headers["X-Request-ID"] == "mine-2"
        assert opened.response.headers["traceparent"] == PARENT


def test_a_refused_upgrade_gives_the_names_back(server: Logged) -> None:
    headers = {
        "X-Request-ID": "mine-3",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    answer = httpx.get(f"{server.url}/socket.io/?EIO=3&transport=websocket", headers=headers)
    assert answer.status_code == 403
    assert answer.headers["x-request-id"] == "mine-3"
