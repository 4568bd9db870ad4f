"""All kinds of changes while a process pauses, the disk is full, the clock jumps."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import SECONDS, Report, settle, times
from tests.faults.load import load_on
from tests.faults.processes import DATABASE_AWAY, PROCESS_SILENT, parleys
from tests.faults.store import MariaDBStore, SQLiteStore
from tests.faults.test_clocks import Clock
from tests.faults.test_outages import small_files
from tests.support.redis import Redis

pytestmark = pytest.mark.timeout(SECONDS)

DAY = 24 * 3600
# The pairs of the load only send: there the mixed load is the point.
FEW: dict[str, Any] = {"users": 2}


async def test_one_of_two_processes_that_pauses_again_and_again(
    mariadb_store: MariaDBStore, redis: Redis, tmp_path: Path, report: Report
) -> None:
    settings: dict[str, Any] = {
        "database_url": mariadb_store.url,
        "redis_url": redis.url,
        "redis_prefix": "pauses",
    }
    with parleys(tmp_path, 2, allowed=(PROCESS_SILENT,), **settings) as pair:
        async with load_on([parley.port for parley in pair], **FEW) as load:
            for turn in range(times(3, 20)):
                await asyncio.sleep(1)
                pair[turn % 2].pause()
                try:
                    await asyncio.sleep(2)
                finally:
                    pair[turn % 2].resume()
            await settle(load, mariadb_store, report, pipelined=False)


async def test_a_disk_that_is_full_again_and_again(tmp_path: Path, report: Report) -> None:
    data = tmp_path / "data"
    with (
        small_files(data) as (fill, make_room),
        parleys(tmp_path, allowed=(DATABASE_AWAY,), data_dir=str(data)) as [parley],
    ):
        async with load_on([parley.port], **FEW) as load:
            for _ in range(times(2, 10)):
                await asyncio.sleep(1.5)
                fill(parley)
                await asyncio.sleep(1.5)
                make_room(parley)
            await settle(load, SQLiteStore(data / "parley.db"), report, pipelined=False)
        assert parley.starts == 1


async def test_a_clock_that_jumps_forward_and_back(tmp_path: Path, report: Report) -> None:
    clock = Clock(tmp_path)
    store = SQLiteStore(tmp_path / "clock.db")
    # To read the file at each question for the time would make everything slow.
    del clock.settings["faketime_no_cache"]
    cached = {**clock.settings, "faketime_cache_duration": "1"}
    with parleys(tmp_path, database_url=store.url, **cached) as [parley]:
        async with load_on([parley.port], **FEW) as load:
            for seconds in [5, -5, 3 * DAY, -3600, 0] * times(1, 6):
                await asyncio.sleep(1.5)
                clock.set(seconds)
            await settle(load, store, report)
        assert parley.starts == 1
