"""Workers that freeze, die, or lose their supervisor: the others serve, and new ones come."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import register
from tests.faults.processes import WORKER_ENDED, Parley, parleys
from tests.faults.waits import until
from tests.faults.wire import GraphQLClient
from tests.server.raw_http import ask, new_session, sessions_of_each
from tests.support.mariadb import MariaDB
from tests.support.redis import Redis, redis_server

HANG_SECONDS = 30
NAMES = {"0", "1"}
SILENT = r"Worker \d is silent for \d+ s: ended"


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A private Redis; skips where there is none."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def workers(
    mariadb: MariaDB, redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Parley]:
    """A server of two workers, one of which a test may freeze or kill."""
    shared: dict[str, Any] = {"database_url": mariadb.url("lives"), "redis_url": redis.url}
    directory = tmp_path_factory.mktemp("workers")
    with parleys(directory, workers=2, allowed=(WORKER_ENDED, SILENT), **shared) as [parley]:
        yield parley


def children(parley: Parley) -> set[int]:
    text = Path(f"/proc/{parley.pid}/task/{parley.pid}/children").read_text()
    return {int(word) for word in text.split()}


def is_worker(parley: Parley, pid: int) -> bool:
    return pid in parley.worker_pids()


async def test_a_frozen_worker_gets_no_connections_and_is_replaced(workers: Parley) -> None:
    frozen, other = workers.worker_pids()
    os.kill(frozen, signal.SIGSTOP)
    stopped = time.monotonic()
    while frozen in workers.worker_pids():
        assert time.monotonic() - stopped < HANG_SECONDS, "a frozen worker stays"
        with suppress(TimeoutError):  # it may have gone to the frozen one, in the first seconds
            async with asyncio.timeout(1):
                assert (await ask(workers.port, "GET", "/health")).status == 200
    await sessions_of_each(workers.port, NAMES)
    assert other in workers.worker_pids()


async def test_the_spare_takes_the_place_of_a_killed_worker(workers: Parley) -> None:
    for turn in range(3):
        pids = workers.worker_pids()
        await until(lambda: len(children(workers)) == 3, HANG_SECONDS)
        [spare] = children(workers) - {*pids}
        os.kill(pids[turn % 2], signal.SIGKILL)
        await until(partial(is_worker, workers, spare), HANG_SECONDS)
        await sessions_of_each(workers.port, NAMES)
    assert len(workers.worker_pids()) == 2


async def test_a_spare_that_has_died_is_no_loss(workers: Parley) -> None:
    await until(lambda: len(children(workers)) == 3, HANG_SECONDS)
    [spare] = children(workers) - {*workers.worker_pids()}
    os.kill(spare, signal.SIGKILL)
    killed = workers.worker_pids()[0]
    os.kill(killed, signal.SIGKILL)
    # A connection that was on its way to it is cut.
    await until(lambda: len({*workers.worker_pids()} - {killed}) == 2, HANG_SECONDS)
    await sessions_of_each(workers.port, NAMES)


async def test_a_restart_after_a_killed_supervisor_is_served_soon(workers: Parley) -> None:
    [user] = await register(workers.port, 1)
    client = await GraphQLClient.open(workers.port, user.token)
    orphans = children(workers)
    os.kill(workers.pid, signal.SIGKILL)
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans), HANG_SECONDS)
    workers.kill()
    await asyncio.to_thread(workers.start)
    again = await GraphQLClient.open(workers.port, user.token)
    assert await new_session(workers.port)
    await again.close()
    await client.close()
