"""MariaDB killed, cut and short of connections under load."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import SECONDS, Report, settle, times
from tests.faults.load import load_on, register
from tests.faults.processes import DATABASE_AWAY, parleys
from tests.faults.store import MariaDBStore, Store
from tests.faults.waits import until
from tests.faults.wire import WATCH, GraphQLClient
from tests.support.mariadb import MariaDB

pytestmark = pytest.mark.timeout(SECONDS)

OURS = "SELECT id FROM information_schema.processlist WHERE db = '{name}'"


async def test_mariadb_killed_and_restarted(
    mariadb: MariaDB, mariadb_store: MariaDBStore, tmp_path: Path, report: Report
) -> None:
    allowed = (DATABASE_AWAY,)
    with parleys(tmp_path, allowed=allowed, database_url=mariadb_store.url) as [parley]:
        pid = parley.pid
        async with load_on([parley.port]) as load:
            for _ in range(times(5, 30)):
                await asyncio.sleep(random.uniform(0.7, 1.3))
                await asyncio.to_thread(mariadb.kill)
                await asyncio.sleep(random.uniform(0, 1))
                await asyncio.to_thread(mariadb.start)
            await settle(load, mariadb_store, report, pipelined=False)
        assert parley.pid == pid
        assert parley.starts == 1


async def test_mariadb_connections_killed_one_by_one(
    mariadb: MariaDB, mariadb_store: MariaDBStore, tmp_path: Path, report: Report
) -> None:
    allowed = (DATABASE_AWAY,)
    with parleys(tmp_path, allowed=allowed, database_url=mariadb_store.url) as [parley]:
        async with load_on([parley.port]) as load:
            killed = 0
            name = mariadb_store.name
            for _ in range(times(30, 200)):
                await asyncio.sleep(random.uniform(0.05, 0.3))
                found = await asyncio.to_thread(mariadb.execute, OURS.format(name=name))
                for [id_] in found:
                    # One may have gone by itself meanwhile.
                    sql = f"KILL {'HARD' if mariadb.is_mariadb else 'CONNECTION'} {id_}"
                    await asyncio.to_thread(_try, mariadb, sql)
                    killed += 1
                    await asyncio.sleep(random.uniform(0.01, 0.05))
            assert killed >= times(30, 200)
            await settle(load, mariadb_store, report, pipelined=False)
            report(f"{killed} connections killed")


def _try(mariadb: MariaDB, sql: str) -> None:
    try:
        mariadb.execute(sql)
    except RuntimeError as error:
        if "Unknown thread id" not in str(error):
            raise


async def test_more_subscriptions_replay_than_the_pool_has_connections(
    store: Store, tmp_path: Path, report: Report
) -> None:
    # Whoever is new reads what was written to everybody before, too.
    small: dict[str, Any] = {"db_pool_size": 2, "broadcast_history": "everything"}
    with parleys(tmp_path, database_url=store.url, **small) as [parley]:
        async with load_on([parley.port], users=6, broadcasters=2, mixed=0) as load:
            await asyncio.sleep(2)
            [reader] = await register(parley.port, 1)
            got: list[list[int]] = [[] for _ in range(100)]
            clients = []
            try:
                for ids in got:
                    client = await GraphQLClient.open(parley.port, reader.token)
                    clients.append(client)

                    def take(data: dict[str, dict[str, str]], ids: list[int] = ids) -> None:
                        ids.append(int(data["messageAdded"]["id"]))

                    await client.watch(WATCH, take, 0)
                rows = await load.finish(store)
                wanted = [row.id for row in rows if row.receiver_id is None]
                assert len(wanted) > 20
                await until(lambda: all(len(ids) >= len(wanted) for ids in got), 30)
                assert not any(client.over.is_set() for client in clients)
                assert all(ids == wanted for ids in got)
                load.ledger.verify(rows, store.head())
                report(f"100 subscriptions over 2 connections, {len(wanted)} messages each")
            finally:
                for client in clients:
                    await client.close()
