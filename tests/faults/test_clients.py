"""Clients cut at random, and clients that send everything twice."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import SECONDS, Report, settle, times
from tests.faults.load import load_on
from tests.faults.processes import parleys
from tests.faults.store import MariaDBStore, Store
from tests.support.redis import Redis

pytestmark = pytest.mark.timeout(SECONDS)


async def test_clients_cut_at_random_resume(store: Store, tmp_path: Path, report: Report) -> None:
    with parleys(tmp_path, database_url=store.url) as [parley]:
        async with load_on([parley.port], pause=0.05) as load:
            for _ in range(times(200, 2000)):
                await asyncio.sleep(random.uniform(0, 0.06))
                load.cut_one()
            await settle(load, store, report)


async def test_clients_that_send_everything_twice_to_two_processes(
    mariadb_store: MariaDBStore, redis: Redis, tmp_path: Path, report: Report
) -> None:
    settings: dict[str, Any] = {
        "database_url": mariadb_store.url,
        "redis_url": redis.url,
        "redis_prefix": "twice",
    }
    with parleys(tmp_path, 2, **settings) as pair:
        async with load_on([parley.port for parley in pair], doubled=True) as load:
            for _ in range(times(60, 600)):
                await asyncio.sleep(random.uniform(0, 0.2))
                load.cut_one()
            await settle(load, mariadb_store, report)
            assert load.ledger.answers == 2 * len(load.ledger.sent)
