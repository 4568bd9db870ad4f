"""Redis behind Sentinels, whose master is killed under load."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from events.bus.bus import Topic
from events.bus.redis_bus import RedisBus
from tests.faults.conftest import SECONDS, Report, settle, times
from tests.faults.load import load_on
from tests.faults.processes import PROCESS_SILENT, REDIS_AWAY, parleys
from tests.faults.store import MariaDBStore
from tests.faults.waits import until
from tests.support.clusters.sentinel import Watched, watched_redis
from tests.support.redis import Redis

pytestmark = pytest.mark.timeout(SECONDS)

AGAIN_SECONDS = 30


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """Two servers and three Sentinels."""
    with watched_redis() as servers:
        yield servers


async def _is_whole(watched: Watched) -> None:
    await asyncio.to_thread(_wait_until_whole, watched)


def _wait_until_whole(watched: Watched) -> None:
    asyncio.run(until(watched.is_whole, AGAIN_SECONDS))


async def _kill_master(watched: Watched) -> Redis:
    master = await asyncio.to_thread(watched.master)
    await asyncio.to_thread(master.kill)
    return master


async def test_the_bus_finds_the_new_master(watched: Watched, report: Report) -> None:
    await _is_whole(watched)
    heard: list[bytes] = []
    buses = [RedisBus(watched.url, prefix="found") for _ in range(2)]
    buses[1].subscribe(Topic.LOG, heard.append)
    for bus in buses:
        await bus.start()
    try:
        await until(lambda: all(bus.connected for bus in buses), AGAIN_SECONDS)
        for turn in range(times(2, 10)):
            master = await _kill_master(watched)
            seconds = await _until_heard(buses[0], b"turn %d" % turn, heard)
            report(f"heard again {seconds:.1f} s after the master's death")
            assert await asyncio.to_thread(watched.master) is not master
            await asyncio.to_thread(master.start)
            await _is_whole(watched)
        # As an operator hands over, before work on a machine.
        master = await asyncio.to_thread(watched.master)
        await asyncio.to_thread(watched.hand_over)
        await until(lambda: watched.master() is not master, AGAIN_SECONDS)
        seconds = await _until_heard(buses[0], b"handed over", heard)
        report(f"heard again {seconds:.1f} s after the master was another one by order")
        await _is_whole(watched)
    finally:
        for bus in buses:
            await bus.close()


async def _until_heard(bus: RedisBus, payload: bytes, heard: list[bytes]) -> float:
    begun = monotonic()
    async with asyncio.timeout(AGAIN_SECONDS):
        while payload not in heard:
            bus.publish(Topic.LOG, payload)
            await asyncio.sleep(0.05)
    return monotonic() - begun


async def test_the_master_is_killed_under_load(
    watched: Watched, mariadb_store: MariaDBStore, tmp_path: Path, report: Report
) -> None:
    await _is_whole(watched)
    settings: dict[str, Any] = {
        "database_url": mariadb_store.url,
        "redis_url": watched.url,
        "redis_prefix": "sentinel",
    }
    with parleys(tmp_path, 2, allowed=(REDIS_AWAY, PROCESS_SILENT), **settings) as pair:
        async with load_on([parley.port for parley in pair]) as load:
            for _ in range(times(2, 10)):
                await asyncio.sleep(1)
                master = await _kill_master(watched)
                connected = [_connections(parley.log) for parley in pair]
                await until(
                    lambda before=connected: all(  # type: ignore[misc]  # mypy knows no defaults here
                        _connections(parley.log) > number
                        for parley, number in zip(pair, before, strict=True)
                    ),
                    AGAIN_SECONDS,
                )
                await asyncio.to_thread(master.start)
                await _is_whole(watched)
            await settle(load, mariadb_store, report)
        assert [parley.starts for parley in pair] == [1, 1]


def _connections(log: Path) -> int:
    return log.read_text().count("Connected to Redis")
