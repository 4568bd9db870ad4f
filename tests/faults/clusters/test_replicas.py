"""Histories read from a replica that lags, dies, hangs, comes back, or is none."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from tests.faults.conftest import times
from tests.faults.load import User, register
from tests.faults.processes import DATABASE_AWAY, Parley, parleys
from tests.faults.waits import until
from tests.support.clusters.replicas import Pair, replicated_pair

pytestmark = pytest.mark.timeout(120)

AGAIN_SECONDS = 20
PAGE = "{ messages(first: 50) { nodes { id content } } conversations { nodes { id } } }"

_names = count(1)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A primary and its replica."""
    with replicated_pair() as servers:
        yield servers


class Reader:
    """Somebody who writes to everybody, and reads back over both faces."""

    def __init__(self, user: User, *instances: Parley) -> None:
        headers = {"Authorization": f"Bearer {user.token}"}
        self.sent: list[int] = []
        self._https = [
            httpx.AsyncClient(base_url=each.url, headers=headers, timeout=30) for each in instances
        ]

    async def send(self, content: str = "x") -> None:
        """Send at the first instance."""
        answer = await self._https[0].post("/api/messages/send", json={"content": content})
        self.sent.append(int(answer.raise_for_status().json()["id"]))

    async def sees_all(self, *, at: int = -1) -> None:
        """Both faces show everything that was sent, at the last instance."""
        rows = (await self._https[at].get("/api/messages")).raise_for_status().json()
        assert [row["id"] for row in rows] == self.sent[::-1]
        answer = (await self._https[at].post("/graphql", json={"query": PAGE})).json()
        assert "errors" not in answer, answer
        nodes = answer["data"]["messages"]["nodes"]
        assert [int(node["id"]) for node in nodes] == self.sent[-50:]

    async def close(self) -> None:
        """End."""
        for http in self._https:
            await http.aclose()


@asynccontextmanager
async def reading(
    pair: Pair, tmp_path: Path, number: int = 1, *, allowed: tuple[str, ...] = (), **named: Any
) -> AsyncIterator[tuple[Reader, list[Parley]]]:
    """A reader of so many instances on a new database, who has sent a few messages."""
    name = f"replicated{next(_names)}"
    settings = {
        "database_url": pair.primary.url(name),
        "db_replica_urls": pair.replica.url(name),
        **named,
    }
    with parleys(tmp_path, number, allowed=allowed, **settings) as instances:
        [user] = await register(instances[0].port, 1)
        reader = Reader(user, *instances)
        for _ in range(3):
            await reader.send()
        yield reader, instances
        await reader.close()


async def _is_read(pair: Pair, reader: Reader) -> None:
    """Wait until both faces read the replica."""
    async with asyncio.timeout(AGAIN_SECONDS):
        before, after = 0, 0
        while after < before + 2:
            before = await asyncio.to_thread(pair.replica.pages_read)
            await reader.sees_all()
            after = await asyncio.to_thread(pair.replica.pages_read)


async def test_histories_are_read_from_the_replica_while_the_database_is_away_too(
    pair: Pair, tmp_path: Path
) -> None:
    async with reading(pair, tmp_path, allowed=(DATABASE_AWAY,)) as (reader, _):
        await _is_read(pair, reader)
        await asyncio.to_thread(pair.primary.kill)
        try:
            await reader.sees_all()
        finally:
            await asyncio.to_thread(pair.primary.start)
        await reader.sees_all()


async def test_a_replica_that_lags_is_not_read_until_it_has_caught_up(
    pair: Pair, tmp_path: Path
) -> None:
    async with reading(pair, tmp_path) as (reader, [parley]):
        await _is_read(pair, reader)
        await asyncio.to_thread(pair.replica.execute, "STOP SLAVE SQL_THREAD")
        try:
            for _ in range(5):
                await reader.send()
            async with asyncio.timeout(AGAIN_SECONDS):
                while "is behind" not in parley.log.read_text():
                    await reader.sees_all()
        finally:
            await asyncio.to_thread(pair.replica.execute, "START SLAVE SQL_THREAD")
        await _is_read(pair, reader)
        _told(parley, r"is behind \(by 5 positions\)")


async def test_a_replica_that_dies_costs_no_reader_anything(pair: Pair, tmp_path: Path) -> None:
    async with reading(pair, tmp_path) as (reader, [parley]):
        await _is_read(pair, reader)
        await asyncio.to_thread(pair.replica.kill)
        try:
            for _ in range(20):
                await reader.sees_all()
        finally:
            await asyncio.to_thread(pair.replica.start)
        await _is_read(pair, reader)
        _told(parley, "does not answer")


async def test_a_replica_that_hangs_is_waited_for_once(pair: Pair, tmp_path: Path) -> None:
    async with reading(pair, tmp_path) as (reader, [parley]):
        await _is_read(pair, reader)
        pair.replica.pause()
        try:
            begun = monotonic()
            for _ in range(20):
                await reader.sees_all()
            assert monotonic() - begun < 5
        finally:
            pair.replica.resume()
        await _is_read(pair, reader)
        _told(parley, "does not answer")


async def test_who_writes_at_one_instance_reads_it_at_another_at_once(
    pair: Pair, tmp_path: Path
) -> None:
    # Without Redis: an instance hears of what another stored 0.2 s later.
    async with reading(pair, tmp_path, 2) as (reader, _):
        for _ in range(times(3, 30)):
            await _is_read(pair, reader)
            for _ in range(10):
                await reader.send()
                await reader.sees_all()
            # As far as the second instance knows, the replica has everything.
            await asyncio.to_thread(pair.replica.execute, "STOP SLAVE SQL_THREAD")
            await reader.send()
            await reader.sees_all()
            await asyncio.to_thread(pair.replica.execute, "START SLAVE SQL_THREAD")


async def test_another_database_is_no_replica(pair: Pair, tmp_path: Path) -> None:
    other = f"replicated{next(_names)}"
    with parleys(tmp_path, database_url=pair.primary.url(other)) as [first]:
        [user] = await register(first.port, 1)
        stranger = Reader(user, first)
        for _ in range(10):
            await stranger.send()
        await stranger.close()
    (tmp_path / "second").mkdir()
    url = pair.replica.url(other)
    async with reading(pair, tmp_path / "second", db_replica_urls=url) as (reader, [parley]):
        await until(lambda: _has(pair, other), AGAIN_SECONDS)
        async with asyncio.timeout(AGAIN_SECONDS):
            while "follows another database" not in parley.log.read_text():
                await reader.sees_all()
        _told(parley, "follows another database")


def _has(pair: Pair, name: str) -> bool:
    return pair.replica.execute("SELECT COUNT(*) FROM messages", name) == [["10"]]


def _told(parley: Parley, pattern: str) -> None:
    """The log says so, once."""
    lines = [line for line in parley.log.read_text().splitlines() if "The replica" in line]
    assert sum(bool(re.search(pattern, line)) for line in lines) == 1, lines
