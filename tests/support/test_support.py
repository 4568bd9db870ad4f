"""The tests' own tools do what the other tests rely on."""

import asyncio
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db.engines import sqlite
from tests.conftest import LONGEST, SYNCHRONOUS, TESTS
from tests.db.rows import open_database
from tests.support.mariadb import MariaDB, mariadb_server
from tests.support.node import node_process, run_node
from tests.support.ports import free_port
from tests.support.redis import Redis, redis_server
from tests.support.tools import require


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDB]:
    with mariadb_server() as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    with redis_server() as server:
        yield server


def test_the_longest_files_are_there() -> None:
    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []


def test_free_ports_differ_and_can_be_listened_on() -> None:
    ports = {free_port() for _ in range(20)}
    assert len(ports) == 20
    for port in ports:
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_a_missing_tool_skips_or_fails_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARLEY_TEST_REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no such-program on the PATH"):
        require("A thing", "such-program")
    monkeypatch.setenv("PARLEY_TEST_REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="A thing is not installed"):
        require("A thing", "such-program")
    assert require("a shell", "such-program", "sh").name == "sh"


def test_mariadb_keeps_commits_over_a_kill_and_a_stop(mariadb: MariaDB) -> None:
    database = f"kept_{uuid.uuid4().hex}"
    mariadb.execute(f"CREATE DATABASE {database}; CREATE TABLE {database}.t (n INT)")
    port, killed = mariadb.port, mariadb.pid
    mariadb.execute("INSERT INTO t VALUES (1)", database)
    mariadb.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(killed, 0)
    assert not mariadb.answers()
    mariadb.start()
    mariadb.execute("INSERT INTO t VALUES (2)", database)
    mariadb.stop()
    mariadb.start()
    assert mariadb.port == port
    assert mariadb.execute("SELECT n FROM t ORDER BY n", database) == [["1"], ["2"]]


def test_mariadb_has_a_bare_servers_charset_and_durable_commits(mariadb: MariaDB) -> None:
    asked = "SELECT @@character_set_server, @@innodb_flush_log_at_trx_commit"
    assert mariadb.execute(asked) == [["latin1", "1"]]


async def test_mariadb_pauses_and_resumes(mariadb: MariaDB) -> None:
    mariadb.pause()
    try:
        asked = asyncio.create_task(asyncio.to_thread(mariadb.execute, "SELECT 1"))
        done, _ = await asyncio.wait([asked], timeout=0.3)
        assert not done
    finally:
        mariadb.resume()
    assert await asked == [["1"]]


def test_redis_restarts_empty_on_its_port(redis: Redis) -> None:
    assert redis.execute("SET key value") == "+OK"
    assert redis.execute("DBSIZE") == ":1"
    url = redis.url
    redis.kill()
    redis.kill()
    assert not redis.answers()
    redis.start()
    assert redis.url == url
    assert redis.execute("DBSIZE") == ":0"


def test_a_server_that_cannot_start_says_why(redis: Redis) -> None:
    with redis_server() as other:
        other.stop()
        other.port = redis.port  # the server there must not be taken for this one
        with pytest.raises(RuntimeError, match="Address already in use"):
            other.start()


async def test_node_clients_tell_a_refused_connection() -> None:
    nowhere = free_port()
    options = {"transports": ["websocket"]}
    async with node_process("socketio_client.mjs", f"http://127.0.0.1:{nowhere}", options) as node:
        await node.expect_type("connect_error")
        await node.send("no-such-command")
        assert "no such command" in (await node.expect_type("script_error"))["message"]
    async with node_process("graphql_ws_client.mjs", f"ws://127.0.0.1:{nowhere}") as node:
        assert (await node.expect_type("closed"))["code"] == 1006
        await node.expect_type("fatal")


async def test_a_node_message_that_never_comes_fails_with_what_came() -> None:
    nowhere = free_port()
    async with node_process("socketio_client.mjs", f"http://127.0.0.1:{nowhere}") as node:
        await node.expect_type("connect_error")
        with pytest.raises(AssertionError, match="nothing in"):
            await node.expect_type("connect", timeout=0.1)


async def test_the_documented_walk_fails_without_a_server() -> None:
    run = await run_node("documented_client.mjs", f"http://127.0.0.1:{free_port()}")
    assert run.code == 1
    assert run.lines[-1]["differences"]


async def test_each_commit_to_sqlite_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "SYNCHRONOUS", SYNCHRONOUS)  # as it is where no tests run
    database = open_database(f"sqlite:///{tmp_path / 'test.db'}")
    await database.prepare()
    async with database.write() as connection:
        kept = (await connection.execute(text("PRAGMA synchronous"))).scalar_one()
    assert kept == 2  # FULL
    await database.close()
