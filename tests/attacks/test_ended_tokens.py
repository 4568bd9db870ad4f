"""Tokens that have ended, however: shut on every face, and their live sockets closed."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from resolvers.guards.tokens import LEEWAY_SECONDS
from tests.attacks.conftest import SECONDS, Report
from tests.attacks.doors import all_open, all_shut, client, opens_file
from tests.attacks.target import Target, attacked
from tests.attacks.test_tokens import SECRET, by_hand, numbers, session_of
from tests.attacks.wires import (
    CLOSE,
    GRAPHQL_WS,
    SOCKETIO_WS,
    TEXT,
    Ended,
    Wire,
    client_frame,
    websocket,
)
from tests.faults.processes import MAIN

pytestmark = pytest.mark.timeout(SECONDS)

PASSWORD = "123456"
# docs/protocol.md says a second; the machine of the tests may be busy.
PATIENCE_SECONDS = 5.0
WATCH = "subscription { messageAdded { id } }"


@dataclass(frozen=True)
class Person:
    """Somebody with two sessions; the first is to be ended."""

    id: int
    email: str
    token: str
    other: str
    file: str


@pytest.fixture(scope="module")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    quiet: Report = lambda text: None  # noqa: E731
    async with attacked(tmp_path_factory.mktemp("ended"), quiet) as target:
        yield target


async def new_person(target: Target) -> Person:
    body = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "displayName": "x"}
    async with client(target, "") as http:
        (await http.post("/api/auth/register", json=body)).raise_for_status()
        one, other = [(await http.post("/api/auth/login", json=body)).json() for _ in range(2)]
    async with client(target, one["token"]) as http:
        file = (await http.post("/api/uploads", files={"f": b"secret"})).json()
    return Person(
        one["user"]["id"], body["email"], one["token"], other["token"], f"/files/{file['id']}"
    )


async def post(target: Target, token: str, path: str, body: dict[str, Any]) -> None:
    async with client(target, token) as http:
        (await http.post(path, json=body)).raise_for_status()


async def mutate(target: Target, token: str, field: str) -> None:
    async with client(target, token) as http:
        said = (await http.post("/graphql", json={"query": f"mutation {{ {field} }}"})).json()
    assert "errors" not in said, said


async def command(target: Target, *words: str) -> None:
    """Run `main.py users …` in a process of its own, beside the server."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(MAIN),
        "users",
        *words,
        env=target.parley.environment(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await process.communicate()
    assert process.returncode == 0, told


CHANGE = {"currentPassword": PASSWORD, "newPassword": "654321"}
CHANGING = f'changePassword(currentPassword: "{PASSWORD}", newPassword: "654321") {{ token }}'
ENDINGS: dict[str, Callable[[Target, Person], Awaitable[None]]] = {
    "REST logout": lambda t, p: post(t, p.token, "/api/auth/logout", {}),
    "REST logout everywhere": lambda t, p: post(t, p.other, "/api/auth/logout-everywhere", {}),
    "REST new password": lambda t, p: post(t, p.other, "/api/auth/change-password", CHANGE),
    "logout": lambda t, p: mutate(t, p.token, "logout"),
    "logoutEverywhere": lambda t, p: mutate(t, p.other, "logoutEverywhere"),
    "revokeSession": lambda t, p: mutate(t, p.other, f'revokeSession(id: "{session_of(p.token)}")'),
    "changePassword": lambda t, p: mutate(t, p.other, CHANGING),
    "REST new password by itself": lambda t, p: post(
        t, p.token, "/api/auth/change-password", CHANGE
    ),
    "changePassword by itself": lambda t, p: mutate(t, p.token, CHANGING),
    "deleteAccount": lambda t, p: mutate(t, p.other, f'deleteAccount(password: "{PASSWORD}")'),
    "disabled by the operator": lambda t, p: command(t, "disable", p.email),
    "deleted by the operator": lambda t, p: command(t, "delete", p.email),
}


async def live(target: Target, token: str) -> tuple[Wire, Wire]:
    """Open both WebSockets with a token, and listen on them."""
    graphql = await websocket(target.port, GRAPHQL_WS)
    for message in (
        {"type": "connection_init", "payload": {"token": token}},
        {"type": "subscribe", "id": "1", "payload": {"query": WATCH}},
    ):
        await graphql.send(client_frame(json.dumps(message).encode()))
    assert json.loads((await graphql.frame()).payload)["type"] == "connection_ack"
    socketio = await websocket(target.port, SOCKETIO_WS)
    login = json.dumps(["auth:login", {"token": token}])
    await socketio.send(client_frame(b"40") + client_frame(f"42{login}".encode()))
    while (await socketio.frame()).payload != b'42["auth:ok"]':
        pass
    return graphql, socketio


async def assert_end(wires: tuple[Wire, Wire], reason: str, seconds: float) -> None:
    """Assert that both end, with the documented words, in time."""
    graphql, socketio = wires
    async with asyncio.timeout(seconds):
        while (frame := await graphql.frame()).opcode != CLOSE:
            if frame.opcode == TEXT:
                assert json.loads(frame.payload)["type"] in {"ping", "pong"}
        assert (frame.code, frame.payload[2:].decode()) == (4401, reason)
        told: list[bytes] = []
        try:
            while (frame := await socketio.frame()).opcode != CLOSE:
                told.append(frame.payload)
        except Ended:
            pass
        assert f'42["auth:error","{reason}"]'.encode() in told, told
    for wire in wires:
        wire.abort()


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
async def test_a_token_that_was_ended_opens_nothing(
    target: Target, end: Callable[[Target, Person], Awaitable[None]]
) -> None:
    person = await new_person(target)
    await all_open(target, person.token, to=target.bob.id)
    assert await opens_file(target, person.token, person.file)
    wires = await live(target, person.token)
    await end(target, person)
    await assert_end(wires, "Session ended", PATIENCE_SECONDS)
    await all_shut(target, person.token, to=target.bob.id)
    assert not await opens_file(target, person.token, person.file)


async def test_a_token_that_expires_ends_its_live_sockets(target: Target) -> None:
    """One without a session: the sockets of others last as long as their session."""
    person = await new_person(target)
    began = time.monotonic()
    claims = {"id": person.id, "exp": datetime.now(UTC) + timedelta(seconds=3)}
    token = by_hand({"alg": "HS256"}, numbers(claims), SECRET.encode())
    wires = await live(target, token)
    await assert_end(wires, "Token expired", 3 + LEEWAY_SECONDS + PATIENCE_SECONDS)
    # Clocks differ: for so long it is taken as not yet expired.
    await asyncio.sleep(max(0.0, began + 4 + LEEWAY_SECONDS - time.monotonic()))
    await all_shut(target, token, to=target.bob.id)
    await all_open(target, person.token, to=target.bob.id)
