"""A Galera cluster of three nodes behind HAProxy, whose writer is killed under load."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from tests.faults.conftest import LONG, Report, settle, times
from tests.faults.load import Load, load_on
from tests.faults.processes import DATABASE_AWAY, PROCESS_SILENT, parleys
from tests.faults.store import MariaDBStore
from tests.faults.waits import until
from tests.support.clusters.galera import Galera, GaleraNode, galera_cluster
from tests.support.clusters.proxy import GaleraProxy
from tests.support.redis import Redis

pytestmark = pytest.mark.timeout(1800 if LONG else 300)

AGAIN_SECONDS = 60


@pytest.fixture(scope="module")
def galera() -> Iterator[Galera]:
    """Three nodes; skips where there is no Galera."""
    with galera_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def proxy(galera: Galera, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GaleraProxy]:
    """HAProxy before them."""
    balancer = GaleraProxy(tmp_path_factory.mktemp("haproxy"), galera)
    assert balancer.check().replace("Configuration file is valid", "").strip() == ""
    balancer.start()
    yield balancer
    balancer.kill()


class GaleraStore(MariaDBStore):
    """A database of the cluster, read where it is written."""

    def __init__(self, proxy: GaleraProxy, node: GaleraNode, name: str) -> None:
        super().__init__(node, name)
        self.url = proxy.url(name)


async def test_the_writer_is_killed_again_and_again(
    galera: Galera, proxy: GaleraProxy, redis: Redis, tmp_path: Path, report: Report
) -> None:
    settings = {"redis_url": redis.url, "redis_prefix": "galera"}
    url = proxy.url("killed")
    allowed = (DATABASE_AWAY, PROCESS_SILENT)
    with parleys(tmp_path, 2, allowed=allowed, database_url=url, **settings) as pair:
        async with load_on([parley.port for parley in pair]) as load:
            waits = []
            for _ in range(times(3, 20)):
                await asyncio.sleep(random.uniform(0.7, 1.3))
                writer = await asyncio.to_thread(proxy.writer)
                await asyncio.to_thread(writer.kill)
                waits.append(await _until_sends_go_on(load))
                await asyncio.to_thread(writer.restart)
            store = GaleraStore(proxy, await asyncio.to_thread(proxy.writer), "killed")
            await settle(load, store, report, pipelined=False)
        assert all(parley.starts == 1 for parley in pair)
    waits.sort()
    report(
        f"{len(waits)} writers killed; sends went on after {waits[0]:.1f} s at the least,"
        f" {waits[len(waits) // 2]:.1f} s as a rule, {waits[-1]:.1f} s at the most"
    )
    await _are_the_same(galera)


async def _until_sends_go_on(load: Load) -> float:
    """Return after how long a message is acknowledged."""
    begun = monotonic() + 0.1  # an answer may have been under way

    def acknowledged() -> list[float]:
        return [s.acknowledged_at for s in load.ledger.sent.values() if s.acknowledged_at > begun]

    await until(lambda: bool(acknowledged()), AGAIN_SECONDS)
    return min(acknowledged()) - begun + 0.1


async def _are_the_same(galera: Galera) -> None:
    """Each node has the same messages, facts and head."""
    tables = "messages, log, log_head, conversations, members, reactions, users, sessions"
    # The SELECT waits for what the other nodes have committed.
    sql = f"SET wsrep_sync_wait = 1; SELECT position FROM log_head; CHECKSUM TABLE {tables}"
    found = [await asyncio.to_thread(node.execute, sql, "killed") for node in galera.nodes]
    assert found[0] == found[1] == found[2]
