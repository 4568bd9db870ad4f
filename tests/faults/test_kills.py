"""Processes killed -9 under load: what was acknowledged is there, and readers miss nothing."""

import asyncio
import os
import random
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import SECONDS, Report, settle, times
from tests.faults.load import load_on
from tests.faults.processes import PROCESS_SILENT, WORKER_ENDED, Parley, parleys
from tests.faults.store import MariaDBStore, Store
from tests.faults.waits import until
from tests.support.redis import Redis

pytestmark = pytest.mark.timeout(SECONDS)


async def restart(parley: Parley) -> None:
    """Kill -9, and start again."""
    await asyncio.to_thread(parley.kill)
    await asyncio.to_thread(parley.start)


def has_another_worker(parley: Parley, before: list[int]) -> bool:
    """Whether one worker is new."""
    return len({*parley.worker_pids()} - {*before}) == 1


async def test_a_lone_process_killed_again_and_again(
    engine: str, store: Store, tmp_path: Path, report: Report
) -> None:
    kills = times(20, 100) if engine == "mariadb" else times(8, 40)
    with parleys(tmp_path, database_url=store.url) as [parley]:
        async with load_on([parley.port]) as load:
            for _ in range(kills):
                await asyncio.sleep(random.uniform(0.3, 0.9))
                await restart(parley)
            await settle(load, store, report)


async def test_one_of_two_processes_killed_while_the_other_carries_on(
    mariadb_store: MariaDBStore, redis: Redis, tmp_path: Path, report: Report
) -> None:
    settings: dict[str, Any] = {
        "database_url": mariadb_store.url,
        "redis_url": redis.url,
        "redis_prefix": "two",
    }
    with parleys(tmp_path, 2, allowed=(PROCESS_SILENT,), **settings) as pair:
        async with load_on([parley.port for parley in pair]) as load:
            for turn in range(times(6, 40)):
                await asyncio.sleep(random.uniform(0.5, 1.0))
                await restart(pair[turn % 3 == 2])
            await settle(load, mariadb_store, report)


async def test_a_worker_killed_is_started_again(
    mariadb_store: MariaDBStore, redis: Redis, tmp_path: Path, report: Report
) -> None:
    settings: dict[str, Any] = {
        "database_url": mariadb_store.url,
        "redis_url": redis.url,
        "redis_prefix": "workers",
    }
    with parleys(tmp_path, allowed=(WORKER_ENDED, PROCESS_SILENT), workers=2, **settings) as made:
        [parley] = made
        async with load_on([parley.port]) as load:
            for turn in range(times(4, 12)):
                await asyncio.sleep(random.uniform(0.5, 1.0))
                before = parley.worker_pids()
                assert len(before) == 2
                os.kill(before[turn % 2], signal.SIGKILL)
                await until(partial(has_another_worker, parley, before), 30)
            await settle(load, mariadb_store, report)
