"""A Galera cluster of three nodes behind HAProxy, whose writer is killed under load."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.faults.conftest import LONG, Report, settle, times
from tests.faults.load import Load, load_on
from tests.faults.processes import DATABASE_AWAY, PROCESS_SILENT, Parley, parleys
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
    await _are_the_same(galera, "killed")


async def _until_sends_go_on(load: Load) -> float:
    """Return after how long a message is acknowledged."""
    begun = monotonic() + 0.1  # an answer may have been under way

    def acknowledged() -> list[float]:
        return [s.acknowledged_at for s in load.ledger.sent.values() if s.acknowledged_at > begun]

    await until(lambda: bool(acknowledged()), AGAIN_SECONDS)
    return min(acknowledged()) - begun + 0.1


async def _are_the_same(galera: Galera, database: str) -> None:
    """Each node has the same messages, facts and head."""
    tables = "messages, log, log_head, conversations, members, reactions, users, sessions"
    # The SELECT waits for what the other nodes have committed.
    sql = f"SET wsrep_sync_wait = 1; SELECT position FROM log_head; CHECKSUM TABLE {tables}"
    found = [await asyncio.to_thread(node.execute, sql, database) for node in galera.nodes]
    assert found[0] == found[1] == found[2]


async def test_two_nodes_that_are_written_to_lose_nothing(
    galera: Galera, redis: Redis, tmp_path: Path, report: Report
) -> None:
    settings: dict[str, Any] = {"redis_url": redis.url, "redis_prefix": "writers"}
    with ExitStack() as stack:
        pair: list[Parley] = []
        for number, node in enumerate(galera.nodes[:2]):
            home = tmp_path / node.name
            home.mkdir()
            named: dict[str, Any] = {"instance": f"i{number}", "database_url": node.url("writers")}
            pair += stack.enter_context(parleys(home, **settings, **named))
        async with load_on([parley.port for parley in pair]) as load:
            await asyncio.sleep(times(6, 60))
            await settle(load, MariaDBStore(galera.nodes[0], "writers"), report, pipelined=False)
        undone = [
            int(node.execute("SHOW STATUS LIKE 'wsrep_local_cert_failures'")[0][1])
            + int(node.execute("SHOW STATUS LIKE 'wsrep_local_bf_aborts'")[0][1])
            for node in galera.nodes[:2]
        ]
        report(f"transactions undone by the other node's: {undone}")
        assert all(undone)
    await _are_the_same(galera, "writers")


async def test_a_cluster_that_has_lost_its_majority_refuses_and_goes_on(
    galera: Galera, proxy: GaleraProxy, redis: Redis, tmp_path: Path, report: Report
) -> None:
    settings = {"redis_url": redis.url, "redis_prefix": "majority"}
    url = proxy.url("majority")
    allowed = (DATABASE_AWAY, PROCESS_SILENT)
    with parleys(tmp_path, 2, allowed=allowed, database_url=url, **settings) as pair:
        async with load_on([parley.port for parley in pair]) as load:
            for _ in range(times(1, 10)):
                await asyncio.sleep(random.uniform(0.7, 1.3))
                writer = await asyncio.to_thread(proxy.writer)
                others = [node for node in galera.nodes if node is not writer]
                # Frozen: what the writer sends them may arrive or not, and it cannot know.
                for node in others:
                    node.pause()
                try:
                    await asyncio.to_thread(_wait_until_alone, writer)
                    await asyncio.sleep(1)
                finally:
                    for node in others:
                        node.resume()
                report(f"sends went on {await _until_sends_go_on(load):.1f} s after the others")
            await asyncio.to_thread(_wait_until_whole, galera)
            store = GaleraStore(proxy, await asyncio.to_thread(proxy.writer), "majority")
            await settle(load, store, report, pipelined=False)
        assert all(parley.starts == 1 for parley in pair)


def _wait_until_alone(writer: GaleraNode) -> None:
    asyncio.run(until(lambda: not writer.answers(), AGAIN_SECONDS))


def _wait_until_whole(galera: Galera) -> None:
    asyncio.run(until(lambda: all(node.answers() for node in galera.nodes), AGAIN_SECONDS))
