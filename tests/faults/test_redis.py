"""Redis killed, restarted empty and frozen under load: messages arrive all the same."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import SECONDS, Report, settle, times
from tests.faults.load import load_on
from tests.faults.processes import PROCESS_SILENT, REDIS_AWAY, parleys
from tests.faults.store import MariaDBStore
from tests.support.redis import Redis

pytestmark = pytest.mark.timeout(SECONDS)


async def test_redis_killed_restarted_and_frozen(
    mariadb_store: MariaDBStore, redis: Redis, tmp_path: Path, report: Report
) -> None:
    settings: dict[str, Any] = {
        "database_url": mariadb_store.url,
        "redis_url": redis.url,
        "redis_prefix": "gone",
    }
    with parleys(tmp_path, 2, allowed=(REDIS_AWAY, PROCESS_SILENT), **settings) as pair:
        async with load_on([parley.port for parley in pair]) as load:
            for _ in range(times(2, 10)):
                await asyncio.sleep(1)
                await asyncio.to_thread(redis.kill)
                await asyncio.sleep(1.5)
                await asyncio.to_thread(redis.start)
                await asyncio.sleep(1)
                redis.pause()
                await asyncio.sleep(5)
                redis.resume()
            await asyncio.to_thread(redis.kill)
            try:
                # With Redis gone for good, everything still arrives.
                await settle(load, mariadb_store, report)
            finally:
                await asyncio.to_thread(redis.start)
        assert [parley.starts for parley in pair] == [1, 1]
