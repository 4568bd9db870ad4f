"""Limits of open connections across two workers, of which one dies, and a Redis that dies too."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.faults.processes import REDIS_AWAY, WORKER_ENDED, Parley, parleys
from tests.support.mariadb import MariaDB
from tests.support.redis import Redis, redis_server

LIMIT = 6
# What one process takes, the other hears of within that.
HEARD_SECONDS = 0.4
PATIENCE_SECONDS = 20
SUBPROTOCOLS: Any = ["graphql-transport-ws"]


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A private Redis; skips where there is none."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def workers(
    mariadb: MariaDB, redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Parley]:
    """Two workers with few connections to give, behind a proxy on this machine."""
    settings: dict[str, Any] = {
        "database_url": mariadb.url("sharedconnections"),
        "redis_url": redis.url,
        "limits": "on",
        "max_connections_per_user": LIMIT,
        "max_connections_per_address": LIMIT,
        "trusted_proxies": "127.0.0.1",
    }
    directory = tmp_path_factory.mktemp("workers")
    allowed = (REDIS_AWAY, WORKER_ENDED)
    with parleys(directory, workers=2, allowed=allowed, **settings) as [parley]:
        yield parley


def new_address() -> str:
    return f"2001:db8:0:{uuid4().hex[:4]}::1"


class Crowd:
    """Connections of one user, or from one address; the workers are handed them in turn."""

    def __init__(self, parley: Parley, token: str | None, address: str | None) -> None:
        self._parley = parley
        self._token = token
        self._address = address
        self._held = AsyncExitStack()
        self.sockets: list[ClientConnection] = []
        self.refusals: list[int | None] = []

    async def one_more(self) -> bool:
        """Open another; whether it was let in."""
        headers = {"X-Forwarded-For": self._address or new_address()}
        url = f"ws{self._parley.url[4:]}/graphql"
        socket = connect(url, subprotocols=SUBPROTOCOLS, additional_headers=headers)
        try:
            opened = await socket
        except InvalidStatus as refused:
            self.refusals.append(refused.response.status_code)
            return False
        self._held.push_async_callback(opened.close)
        payload = "{}" if self._token is None else f'{{"token": "{self._token}"}}'
        await opened.send(f'{{"type": "connection_init", "payload": {payload}}}')
        try:
            await opened.recv()
        except ConnectionClosed:
            self.refusals.append(opened.close_code)
            return False
        self.sockets.append(opened)
        return True

    async def fill(self) -> int:
        """Open until each worker says no; return how many are open."""
        refused = 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while refused < 2:
                refused = 0 if await self.one_more() else refused + 1
                await asyncio.sleep(HEARD_SECONDS)
        assert set(self.refusals) == {429 if self._token is None else 4420}
        return sum(socket.close_code is None for socket in self.sockets)

    async def leave(self) -> None:
        await self._held.aclose()
        self.sockets.clear()


@pytest.fixture(params=["user", "address"])
async def crowd(request: pytest.FixtureRequest, workers: Parley) -> AsyncIterator[Crowd]:
    """Many of one user's, or from one address."""
    crowd = Crowd(workers, None, new_address())
    if request.param == "user":
        body = {"email": f"{uuid4().hex}@example.com", "password": "123456", "displayName": "x"}
        headers = {"X-Forwarded-For": new_address()}
        async with httpx.AsyncClient(base_url=workers.url, headers=headers) as http:
            await http.post("/api/auth/register", json=body)
            token = (await http.post("/api/auth/login", json=body)).json()["token"]
        crowd = Crowd(workers, token, None)
    yield crowd
    await crowd.leave()


async def test_connections_are_counted_across_processes(crowd: Crowd) -> None:
    assert await crowd.fill() == LIMIT  # two that knew nothing of each other would take 12
    await crowd.sockets[0].close()
    await asyncio.sleep(HEARD_SECONDS)
    assert await crowd.fill() == LIMIT


async def test_a_killed_worker_gives_back_what_it_had(crowd: Crowd, workers: Parley) -> None:
    assert await crowd.fill() == LIMIT
    victim = workers.worker_pids()[0]
    os.kill(victim, signal.SIGKILL)
    lost = [socket for socket in crowd.sockets if not await _answers(socket)]
    assert 0 < len(lost) < LIMIT
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (full := await crowd.fill()) < LIMIT:  # until it counts as dead
            assert full >= LIMIT - len(lost)
    assert full == LIMIT


async def _answers(socket: ClientConnection) -> bool:
    try:
        async with asyncio.timeout(2):
            await (await socket.ping())
    except (ConnectionClosed, TimeoutError):
        return False
    return True


@pytest.mark.parametrize(
    ("crowd", "how"), [("user", "killed"), ("address", "frozen")], indirect=["crowd"]
)
async def test_without_redis_each_process_goes_by_its_own(
    crowd: Crowd, redis: Redis, how: str
) -> None:
    assert await crowd.fill() == LIMIT
    await asyncio.to_thread(redis.kill if how == "killed" else redis.pause)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await crowd.one_more():  # noqa: ASYNC110  # until both have noticed
                await asyncio.sleep(HEARD_SECONDS)
        assert await crowd.fill() == 2 * LIMIT
    finally:
        await asyncio.to_thread(redis.start if how == "killed" else redis.resume)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            await crowd.leave()
            await asyncio.sleep(HEARD_SECONDS)
            if await crowd.fill() == LIMIT:  # by themselves they count together again
                break
