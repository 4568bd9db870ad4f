"""A database that loses its tail, lags or is shared: nobody waits for ever for what is there."""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from tests.faults.load import User, register
from tests.faults.processes import DATABASE_AWAY, parleys
from tests.faults.store import MariaDBStore
from tests.faults.waits import until
from tests.faults.wire import WATCH, GraphQLClient, SocketIOClient
from tests.support.mariadb import MariaDB
from tests.support.server import running_server

pytestmark = pytest.mark.timeout(120)


class Reader:
    """A subscriber that comes back after every cut, with the last id that it saw."""

    def __init__(self, port: int, user: User) -> None:
        self.seen: list[int] = []
        self._port = port
        self._user = user
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            client = await GraphQLClient.open(self._port, self._user.token)
            try:
                await client.watch(WATCH, self._take, self.seen[-1] if self.seen else 0)
                await client.over.wait()
            finally:
                await client.close()

    def _take(self, data: dict[str, Any]) -> None:
        self.seen.append(int(data["messageAdded"]["id"]))

    async def close(self) -> None:
        """End."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def _http(port: int, user: User) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {user.token}"}
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30)


async def _send(http: httpx.AsyncClient, content: str = "x") -> int:
    answer = await http.post("/api/messages/send", json={"content": content})
    return int(answer.json()["id"]) if answer.status_code == 201 else 0


@pytest.mark.parametrize("new", [3, 25])
async def test_after_a_failover_that_lost_the_tail_what_is_stored_is_delivered(
    new: int, mariadb: MariaDB, mariadb_store: MariaDBStore, tmp_path: Path
) -> None:
    allowed = (*DATABASE_AWAY, "The log has lost its last 10 positions, 21 to 30")
    with parleys(tmp_path, allowed=allowed, database_url=mariadb_store.url) as [parley]:
        sender, reader_of, other = await register(parley.port, 3)
        reader = Reader(parley.port, reader_of)
        pushed: list[int] = []

        def take(event: str, payload: Any) -> None:
            if event == "message:new":
                pushed.append(int(payload["id"]))

        socketio = await SocketIOClient.open(parley.port, other.token, take)
        async with _http(parley.port, sender) as http:
            for _ in range(30):
                assert await _send(http)
            await until(lambda: reader.seen[-1:] == [30] and pushed[-1:] == [30], 10)
            mariadb.execute(
                "DELETE FROM messages WHERE id > 20; UPDATE log_head SET position = 20",
                mariadb_store.name,
            )
            for [thread] in mariadb.execute(
                f"SELECT id FROM information_schema.processlist WHERE db = '{mariadb_store.name}'"
            ):
                mariadb.execute(f"KILL {thread}")
            acknowledged: list[int] = []
            while len(acknowledged) < new:
                if id_ := await _send(http):
                    acknowledged.append(id_)
            assert acknowledged == [*range(21, 21 + new)]
            # Everybody is cut, comes back with the last id they saw, and gets the new ones.
            await asyncio.wait_for(socketio.over.wait(), 10)
            await until(lambda: reader.seen[-new:] == acknowledged, 10)
            assert reader.seen[:30] == [*range(1, 31)]
            assert await _send(http) == 21 + new
            await until(lambda: reader.seen[-1] == 21 + new, 10)
        await reader.close()
        await socketio.close()
        assert parley.log.read_text().count("The log has lost its last") == 1


async def test_two_servers_on_one_database_without_redis_hear_each_other_and_are_told(
    mariadb_store: MariaDBStore, tmp_path: Path
) -> None:
    with parleys(tmp_path, 2, database_url=mariadb_store.url) as instances:
        sender, *readers = await register(instances[0].port, 3)
        watching = [
            Reader(parley.port, user) for parley, user in zip(instances, readers, strict=True)
        ]
        sent = []
        for parley in (instances[0], instances[1], instances[1], instances[0]):
            async with _http(parley.port, sender) as http:
                sent.append(await _send(http))
            await until(lambda: all(reader.seen[-1:] == sent[-1:] for reader in watching), 4)
        assert all(reader.seen == sent == [1, 2, 3, 4] for reader in watching)
        for parley in instances:
            told = [line for line in parley.log.read_text().splitlines() if "REDIS_URL" in line]
            assert len(told) == 1
            assert "WARNING" in told[0]
        for reader in watching:
            await reader.close()


async def test_a_lone_server_is_warned_of_nobody(
    mariadb_store: MariaDBStore, tmp_path: Path
) -> None:
    with parleys(tmp_path, database_url=mariadb_store.url) as [parley]:
        [sender] = await register(parley.port, 1)
        async with _http(parley.port, sender) as http:
            for _ in range(4):
                await asyncio.gather(*(_send(http) for _ in range(20)))
                await asyncio.sleep(0.7)
        assert "REDIS_URL" not in parley.log.read_text()


async def test_reads_that_lag_leave_nothing_out(mariadb: MariaDB, tmp_path: Path) -> None:
    def replicate() -> None:
        mariadb.execute("DROP DATABASE IF EXISTS lagging; CREATE DATABASE lagging")
        for (table,) in mariadb.execute("SHOW TABLES", "leading"):
            mariadb.execute(f"CREATE TABLE {table} AS SELECT * FROM leading.{table}", "lagging")

    with running_server(tmp_path, database_url=mariadb.url("leading")) as server:
        port = server.settings.port
        sender, other = await register(port, 2)
        async with _http(port, sender) as http:
            assert await _send(http) == 1
            replicate()
            # As behind a proxy that sends what reads to a replica, which has stopped here.
            database = server.ctx.db

            def connect(dialect: Any, record: Any, words: Any, named: dict[str, Any]) -> None:
                named["database" if "database" in named else "db"] = "lagging"

            event.listen(database._reads.sync_engine, "do_connect", connect)
            database._judging.dropped_at = monotonic()
            sent = [await _send(http, f"m{number}") for number in range(2, 5)]
            assert sent == [2, 3, 4]
            reader = Reader(port, other)
            await until(lambda: reader.seen == [1, 2, 3, 4], 10)
            page = (await http.get("/api/messages")).json()
            assert [message["id"] for message in page] == [4, 3, 2, 1]
            body = {"query": "{ message(id: 4) { content } messages(first: 9) { nodes { id } } }"}
            data = (await http.post("/graphql", json=body)).json()["data"]
            assert data["message"] == {"content": "m4"}
            assert [node["id"] for node in data["messages"]["nodes"]] == ["1", "2", "3", "4"]
            await reader.close()
