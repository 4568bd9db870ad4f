"""A crowd that is cut off at once comes back: all are live again, and nobody misses a message."""

import asyncio
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import User, register
from tests.faults.processes import parleys
from tests.faults.waits import until
from tests.faults.wire import WATCH, Cut, GraphQLClient, SocketIOClient

pytestmark = pytest.mark.timeout(240)

CROWD = 200  # half over GraphQL, half over Socket.IO
USERS = 8
AT_ONCE = 20
HANG_SECONDS = 60.0
MISSED = [f"missed {number}" for number in range(10)]


async def _graphql(port: int, user: User, heard: list[str], after: int | None) -> GraphQLClient:
    client = await GraphQLClient.open(port, user.token)

    def take(data: dict[str, Any]) -> None:
        heard.append(data["messageAdded"]["content"])

    await client.watch(WATCH, take, after)
    return client


async def _socketio(port: int, user: User, heard: list[str], after: int | None) -> SocketIOClient:
    def take(event: str, data: Any) -> None:
        if event == "message:new":
            heard.append(data["content"])

    client = await SocketIOClient.open(port, user.token, take)
    if after is not None:
        await client.say(f'42["auth:login",{{"token":"{user.token}","after":{after}}}]')
    return client


async def _come(port: int, users: list[User], after: int | None) -> tuple[list[Any], list[Any]]:
    """Connect the crowd; return the clients, and what each of them hears."""
    heards: list[list[str]] = [[] for _ in range(CROWD)]
    free = asyncio.Semaphore(AT_ONCE if after is None else CROWD)

    async def come(number: int, user: User) -> Any:
        opening = _graphql if number % 2 else _socketio
        async with free, asyncio.timeout(HANG_SECONDS):
            while True:
                try:
                    return await opening(port, user, heards[number], after)
                except Cut:  # the machine is busy: as a client would, try again
                    heards[number].clear()
                    await asyncio.sleep(0.5)

    coming = zip(range(CROWD), cycle(users), strict=False)
    return [*await asyncio.gather(*(come(*of) for of in coming))], heards


async def test_a_crowd_that_comes_back_at_once_is_live_and_misses_nothing(tmp_path: Path) -> None:
    with parleys(tmp_path, 1, presence_grace_seconds=0.5) as [parley]:
        *users, writer = await register(parley.port, USERS + 1)
        sender = await GraphQLClient.open(parley.port, writer.token)
        before = await (await sender.start("before", "before", None))
        crowd, _ = await _come(parley.port, users, None)
        for client in crowd:
            client.abort()
        for content in MISSED:
            await (await sender.start(content, content, None))
        again, heards = await _come(parley.port, users, before)
        await (await sender.start("live", "live", None))
        await until(lambda: all("live" in heard for heard in heards), HANG_SECONDS)
        for number, heard in enumerate(heards):
            assert heard == [*MISSED, "live"], number
        for client in (*crowd, *again, sender):
            await client.close()
