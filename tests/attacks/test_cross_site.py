"""What a page of another site can make a browser send: sockets, forms, plain text, links."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.attacks.conftest import SECONDS, Report
from tests.attacks.target import Target, attacked
from tests.attacks.wires import GRAPHQL_WS, SOCKETIO_WS, Ended, websocket

pytestmark = pytest.mark.timeout(SECONDS)

OURS = "https://chat.example"
FOREIGN = (
    "https://evil.example",
    "null",
    "https://chat.example.evil.example",
    "http://chat.example",
)
REGISTER = (
    'mutation { register(email: "a@example.com", password: "123456", displayName: "x") { token } }'
)
# What forms can be sent as, and what fetch can send without asking first.
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain")
BEARER_ONLY = ("/api/messages/send", "/api/message/send", "/api/uploads")


@pytest.fixture(scope="module")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """A server that only the pages of one origin may speak to."""
    quiet: Report = lambda text: None  # noqa: E731
    directory: Path = tmp_path_factory.mktemp("cross-site")
    async with attacked(directory, quiet, cors_origins=OURS) as target:
        yield target


def client(target: Target) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{target.port}", timeout=20)


@pytest.mark.parametrize("path", [GRAPHQL_WS, SOCKETIO_WS], ids=["graphql", "socketio"])
async def test_a_socket_of_another_site_is_refused(target: Target, path: str) -> None:
    (await websocket(target.port, path, f"Origin: {OURS}\r\n")).abort()
    for origin in FOREIGN:
        with pytest.raises(Ended, match="403"):
            await websocket(target.port, path, f"Origin: {origin}\r\n")


async def test_polling_of_another_site_is_refused(target: Target) -> None:
    async with client(target) as http:
        query = {"EIO": "4", "transport": "polling"}
        for origin in FOREIGN:
            answer = await http.get("/socket.io/", params=query, headers={"Origin": origin})
            assert answer.status_code == 403
        assert (await http.get("/socket.io/", params=query)).status_code == 200


@pytest.mark.parametrize("type_", FORM_TYPES)
async def test_graphql_takes_nothing_that_a_form_can_send(target: Target, type_: str) -> None:
    bodies = [
        json.dumps({"query": REGISTER}).encode(),
        f"query={REGISTER}".encode(),
        b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n'
        + json.dumps({"query": REGISTER}).encode()
        + b'\r\n--x\r\nContent-Disposition: form-data; name="map"\r\n\r\n{}\r\n--x--\r\n',
    ]
    async with client(target) as http:
        for body in bodies:
            headers = {"Content-Type": type_, "Origin": FOREIGN[0]}
            answer = await http.post("/graphql", content=body, headers=headers)
            assert answer.status_code in {400, 415}, answer.text
            assert "data" not in answer.json()


async def test_a_link_changes_nothing(target: Target) -> None:
    async with client(target) as http:
        answer = await http.get("/graphql", params={"query": REGISTER})
        assert answer.status_code == 405
        assert "data" not in answer.json()


@pytest.mark.parametrize("type_", FORM_TYPES)
@pytest.mark.parametrize("path", BEARER_ONLY)
async def test_no_form_does_anything_without_a_bearer(
    target: Target, path: str, type_: str
) -> None:
    """A browser adds cookies by itself, never a bearer token: nothing is read from a cookie."""
    async with client(target) as http:
        cookies = f"token={target.alice.token}; Authorization=Bearer {target.alice.token}"
        headers = {"Content-Type": type_, "Origin": FOREIGN[0], "Cookie": cookies}
        answer = await http.post(path, content=b"content=Hello&token=x", headers=headers)
        assert answer.status_code == 401
        url = f"{path}?token={target.alice.token}&access_token={target.alice.token}"
        assert (await http.post(url, content=b"content=Hello", headers=headers)).status_code == 401


async def test_a_page_of_another_site_cannot_read_an_answer(target: Target) -> None:
    async with client(target) as http:
        for origin, allowed in ((OURS, OURS), *((foreign, None) for foreign in FOREIGN)):
            answer = await http.get("/health", headers={"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            answer = await http.options("/graphql", headers=asked)
            assert answer.headers.get("access-control-allow-origin") == allowed
            credentials = answer.headers.get("access-control-allow-credentials")
            assert credentials == ("true" if allowed else None)
