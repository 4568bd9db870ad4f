"""A closed connection, whatever it was, leaves no reference cycle for the collector to find."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compat.test_chat import raw
from tests.schema.client import open_socket
from tests.support.faces import Account, new_account
from tests.support.server import RunningServer, running_server

ROUNDS = 20
# Objects of these modules are of connections: none may wait for the collector.
OURS = ("schema.", "compat.", "server.", "events.", "resolvers.", "uvicorn.", "starlette.")


async def _graphql(server: RunningServer, account: Account) -> None:
    async with open_socket(server, account) as socket:
        await socket.settle()


async def _subscriptions(server: RunningServer, account: Account) -> None:
    async with open_socket(server, account) as socket:
        await socket.subscribe("m", "subscription { messageAdded { id } }")
        await socket.subscribe("p", "subscription { presence { online user { id } } }")
        await socket.expect(id="p", type="next")
        await socket.settle()


async def _socketio(server: RunningServer, account: Account) -> None:
    async with raw(server) as client:
        await client.send("auth:login", {"token": account.token})
        await client.expect("user:online")


async def _polling(server: RunningServer, account: Account) -> None:
    path = f"{server.url}/socket.io/?EIO=4&transport=polling"
    async with httpx.AsyncClient() as http:
        sid = (await http.get(path)).text.partition('"sid":"')[2].partition('"')[0]
        await http.post(f"{path}&sid={sid}", content="40")
        await http.get(f"{path}&sid={sid}")
        await http.post(f"{path}&sid={sid}", content="1")


async def _requests(server: RunningServer, account: Account) -> None:
    headers = {"Authorization": f"Bearer {account.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        await http.get("/api/messages?limit=5")
        await http.post("/graphql", json={"query": "{ me { id } }"})
        await http.post("/graphql", json={"query": "{ nonsense }"})
        await http.post("/api/messages/send", json={"content": ""})


async def _upload(server: RunningServer, account: Account) -> None:
    headers = {"Authorization": f"Bearer {account.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        answer = await http.post("/api/uploads", files={"file": ("a.txt", b"some text")})
        assert answer.status_code == 201, answer.text


async def _refused_handshake(server: RunningServer, account: Account) -> None:
    del account
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    headers |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": "http://evil.example"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        assert (await http.get("/graphql")).status_code == 403


Kind = Callable[[RunningServer, Account], Awaitable[None]]
KINDS: list[Kind] = [
    _graphql,
    _subscriptions,
    _socketio,
    _polling,
    _requests,
    _upload,
    _refused_handshake,
]


@asynccontextmanager
async def _watched() -> AsyncIterator[list[Any]]:
    """Give, on the way out, what only the collector frees of all that was made meanwhile."""
    found: list[Any] = []
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _is_ours(thing: object) -> bool:
    module = getattr(type(thing), "__module__", "") or ""
    return f"{module}.".startswith(OURS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__.strip("_"))
async def test_a_closed_connection_leaves_no_cycle(kind: Kind, tmp_path: Path) -> None:
    with running_server(tmp_path, cors_origins="http://good.example") as server:
        account = await new_account(server)
        for _ in range(3):
            await kind(server, account)  # caches, pools and the first of everything
        await asyncio.sleep(0.3)
        async with _watched() as found:
            for _ in range(ROUNDS):
                await kind(server, account)
            await asyncio.sleep(1.0)  # the server sees the last ones close
        ours = Counter(type(thing).__qualname__ for thing in found if _is_ours(thing))
        # One now and then is of what is still going on, or of a client in this process.
        assert not {name: n for name, n in ours.items() if n >= ROUNDS // 2}, ours
