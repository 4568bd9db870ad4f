"""Paths as Express takes them, and what a page of another origin may ask."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.faces import new_account
from tests.support.server import RunningServer, running_server

PAGE = "https://chat.example.com"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type",
}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that names the one page that may call it."""
    with running_server(tmp_path_factory.mktemp("named"), cors_origins=(PAGE,)) as server:
        yield server


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/messages/", 200),
        ("GET", "/api/messages//", 200),
        ("GET", "/API/Messages", 200),
        ("GET", "/Api/Message/All-Message/", 200),
        ("POST", "/api/messages/send/", 201),
        ("POST", "/api/messages/Send", 201),
        ("POST", "/graphql/", 200),
        ("GET", "/health/", 200),
        ("GET", "/socket.io?EIO=4&transport=polling", 200),
        ("GET", "/socket.io/?EIO=4&transport=polling", 200),
        ("GET", "/API", 404),
        ("GET", "/nowhere/", 404),
        ("GET", "//evil.example/", 404),
    ],
)
async def test_a_slash_at_the_end_and_upper_case_change_nothing(
    sqlite_chat: RunningServer, method: str, path: str, status: int
) -> None:
    alice = await new_account(sqlite_chat)
    headers = {
        "Host": "chat.example.com",
        "X-Forwarded-Proto": "https",
        "Authorization": f"Bearer {alice.token}",
    }
    message = {"content": "x", "toUserId": alice.id}
    body = {"query": "{ __typename }"} if path.startswith("/graphql") else message
    async with httpx.AsyncClient(headers=headers) as http:
        sent = body if method == "POST" else None
        answer = await http.request(method, sqlite_chat.url + path, json=sent)
    assert answer.status_code == status
    assert "location" not in answer.headers


async def test_the_socketio_client_library_is_not_here_and_says_where_it_is(
    sqlite_chat: RunningServer,
) -> None:
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers={"Origin": PAGE}) as http:
        for name in ("socket.io.js", "socket.io.min.js.map", "socket.io.esm.min.js"):
            answer = await http.get(f"/socket.io/{name}")
            assert answer.status_code == 404
            assert "socket.io-client" in answer.json()["message"]
            assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/graphql"),
        ("OPTIONS", "/graphql"),
        ("GET", "/socket.io/?EIO=4&transport=polling"),
        ("OPTIONS", "/socket.io/?EIO=4&transport=polling"),
        ("GET", "/api/messages"),
    ],
)
async def test_a_named_page_may_ask_with_credentials(
    named: RunningServer, sqlite_chat: RunningServer, method: str, path: str
) -> None:
    headers = PREFLIGHT if method == "OPTIONS" else {"Origin": PAGE}
    async with httpx.AsyncClient(headers=headers) as http:
        answer = await http.request(method, named.url + path)
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-allow-credentials"] == "true"
        evil = await http.request(method, named.url + path, headers={"Origin": "https://e.example"})
        assert "access-control-allow-origin" not in evil.headers
        anybody = await http.request(method, sqlite_chat.url + path)
        assert anybody.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in anybody.headers


async def test_a_preflight_for_a_private_network_is_answered(named: RunningServer) -> None:
    asked = {**PREFLIGHT, "Access-Control-Request-Private-Network": "true"}
    async with httpx.AsyncClient(base_url=named.url) as http:
        ours = await http.options("/graphql", headers=asked)
        assert ours.status_code == 200
        assert ours.headers["access-control-allow-private-network"] == "true"
        evil = await http.options("/graphql", headers={**asked, "Origin": "https://e.example"})
        assert evil.status_code == 400
        assert "access-control-allow-origin" not in evil.headers
