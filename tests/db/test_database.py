"""Connections: made, refused, lost and found again."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import make_url

from db import migrate
from db.engines import database as database_module
from db.engines import mysql as mysql_module
from db.engines import recent as recent_module
from db.engines.database import (
    Database,
    DatabaseUnavailable,
    DatabaseUnsuitable,
    Deadlocked,
    retrying_deadlocks,
)
from tests.db.rows import add_users, draft, everything, open_database, running_log
from tests.support.mariadb import MariaDB
from tests.support.ports import free_port

EMOJI = "Zoë 👩‍👩‍👧‍👦 🇫🇷"
SLOW = (
    "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted LIMIT 1000000)"
    " SELECT n FROM counted"
)


async def test_a_missing_database_is_made(database_url: str) -> None:
    database = open_database(database_url)
    await database.prepare()
    await database.prepare()
    await database.ping()
    await database.close()


async def test_a_missing_directory_is_made(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "parley.db"
    database = open_database(f"sqlite:///{path}")
    await database.prepare()
    await database.ping()
    await database.close()
    assert path.exists()


async def test_a_place_where_no_file_can_be_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "parley.db", tmp_path):
        database = open_database(f"sqlite:///{path}")
        async with asyncio.timeout(3):
            with pytest.raises(DatabaseUnsuitable, match=r"cannot be used: (File exists|Is a dir)"):
                await database.prepare()
        await database.close()


async def test_sqlite_readers_go_on_while_one_writes(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'parley.db'}")
    other = open_database(f"sqlite:///{tmp_path / 'parley.db'}")
    await migrate.upgrade(database)
    async with database.write() as writer:
        await writer.execute(text("UPDATE log_head SET position = 7"))
        for reading in (database, other):
            async with reading.read() as reader:
                assert (await reader.execute(text("SELECT position FROM log_head"))).scalar() == 0
                assert (await reader.execute(text("PRAGMA journal_mode"))).scalar() == "wal"
                assert (await reader.execute(text("PRAGMA foreign_keys"))).scalar() == 1
    async with other.read() as reader:
        assert (await reader.execute(text("SELECT position FROM log_head"))).scalar() == 7
    for each in (database, other):
        await each.close()


async def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as connection:
            await connection.execute(text("UPDATE log_head SET position = 7"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT position FROM log_head"))).scalar() == 0


async def test_more_callers_than_connections_wait_for_their_turn(database_url: str) -> None:
    database = open_database(database_url, pool_size=2)
    await migrate.upgrade(database)
    await asyncio.gather(*(database.ping() for _ in range(50)))
    await database.close()


async def test_a_caller_cancelled_twice_leaves_nothing_waiting(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'test.db'}")
    await database.prepare()

    async def read() -> None:
        async with database.read() as connection:
            await connection.execute(text(f"SELECT max(n) FROM ({SLOW})"))

    callers = [asyncio.create_task(read()) for _ in range(8)]
    for turns in (0.05, 0.0001, 0.0001):
        await asyncio.sleep(turns)
        for caller in callers:
            caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    async with asyncio.timeout(60):  # the statements go on to their end, on a busy machine slowly
        while any("terminate" in repr(task.get_coro()) for task in asyncio.all_tasks()):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.01)
    await database.close()


async def test_a_caller_cancelled_between_rows_gives_its_locks_back(database: Database) -> None:
    await add_users(database, 3)

    async def transaction() -> None:
        async with database.write() as connection:
            await connection.execute(text("UPDATE log_head SET position = position"))
            while True:
                await connection.execute(text("SELECT id FROM users"))

    for wait in range(30):
        caller = asyncio.create_task(transaction())
        await asyncio.sleep(0.01 + wait / 10_000)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        async with asyncio.timeout(5), database.write() as connection:
            await connection.execute(text("UPDATE log_head SET position = position"))


async def test_a_cancelled_caller_gives_its_connection_back(database_url: str) -> None:
    database = open_database(database_url, pool_size=1)
    await migrate.upgrade(database)

    async def hold() -> None:
        async with database.write() as connection:
            await connection.execute(text("UPDATE log_head SET position = 7"))
            holding.set()
            await asyncio.Event().wait()

    for _ in range(3):
        holding = asyncio.Event()
        holder = asyncio.create_task(hold())
        await asyncio.wait_for(holding.wait(), 10)
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)
    async with asyncio.timeout(10), database.write() as connection:
        assert (await connection.execute(text("SELECT position FROM log_head"))).scalar() == 0
    await database.close()


async def test_a_user_who_may_not_make_databases_uses_the_one_there_is(mariadb: MariaDB) -> None:
    mariadb.execute("CREATE DATABASE given CHARACTER SET latin1")
    mariadb.execute("CREATE USER poor@'%' IDENTIFIED BY 'x'")
    rights = "SELECT, INSERT, UPDATE, DELETE, ALTER, DROP, INDEX, REFERENCES"
    mariadb.execute(f"GRANT {rights} ON given.* TO poor@'%'")
    base = f"mysql+asyncmy://poor:x@{mariadb.host}:{mariadb.port}"
    # Somebody who may has made the tables; from now on the poor user serves.
    owner = open_database(mariadb.url("given"))
    await migrate.upgrade(owner)
    await owner.close()
    database = open_database(f"{base}/given")
    await migrate.upgrade(database)
    await add_users(database, 1)
    await database.close()
    other = open_database(f"{base}/not_given")
    with pytest.raises(DatabaseUnavailable, match="not_given"):
        await migrate.upgrade(other)
    await other.close()


async def test_a_latin1_database_keeps_emoji_everywhere(mariadb: MariaDB) -> None:
    mariadb.execute("CREATE DATABASE old CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    database = open_database(mariadb.url("old"))
    await migrate.upgrade(database)
    [user] = await add_users(database, 1)
    async with database.write() as connection:
        await connection.execute(
            text("UPDATE users SET display_name = :name, search_name = :name"), {"name": EMOJI}
        )
    async with running_log(database) as log:
        sent = await log.append(draft(user, user, EMOJI, EMOJI))
        other = await log.append(draft(user, user, EMOJI, EMOJI.upper()))
    assert (sent.content, sent.client_message_id, sent.id) == (EMOJI, EMOJI, 1)
    assert other.id == 2
    assert await everything(database) == [sent, other]
    async with database.read() as connection:
        names = (await connection.execute(text("SELECT display_name FROM users"))).scalars()
        assert [*names] == [EMOJI]
    await database.close()


async def test_tables_that_would_lose_emoji_are_refused(mariadb: MariaDB) -> None:
    mariadb.execute("CREATE DATABASE converted CHARACTER SET latin1")
    url = mariadb.url("converted")
    database = open_database(url)
    await migrate.upgrade(database)
    narrow = "ALTER TABLE users CONVERT TO CHARACTER SET latin1"
    mariadb.execute(f"SET foreign_key_checks = 0; {narrow}", "converted")
    with pytest.raises(DatabaseUnsuitable, match=r"users are not utf8mb4.*ALTER TABLE"):
        await migrate.upgrade(database)
    await database.close()


async def test_a_name_no_database_can_have_is_refused(mariadb: MariaDB) -> None:
    database = open_database(mariadb.url("n" * 65))
    with pytest.raises(DatabaseUnsuitable, match="nnn"):
        await database.prepare()
    await database.close()


async def test_an_old_server_is_refused(mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch) -> None:
    # No server that old can be had here: what is asked for is newer than any instead.
    monkeypatch.setattr(mysql_module, "OLDEST_MARIADB", (99, 1))
    monkeypatch.setattr(mysql_module, "OLDEST_MYSQL", (99, 1))
    database = open_database(mariadb.url("too_old"))
    with pytest.raises(DatabaseUnsuitable, match=r"is too old: Parley needs 99\.1"):
        await database.prepare()
    await database.close()


async def test_a_wrong_password_is_said_at_once(mariadb: MariaDB) -> None:
    url = f"mysql+asyncmy://{mariadb.user}:wrong@{mariadb.host}:{mariadb.port}/x"
    await _expect_unavailable(url, "Access denied", seconds=3)


async def test_no_server_is_said_at_once() -> None:
    await _expect_unavailable(f"mysql+asyncmy://a:b@127.0.0.1:{free_port()}/x", "connect", 3)


async def test_a_server_that_never_greets_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "CONNECT_SECONDS", 0.5)
    over = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await _expect_unavailable(f"mysql+asyncmy://a:b@127.0.0.1:{port}/x", "no answer", 5)
    over.set()
    server.close()
    await server.wait_closed()


async def _expect_unavailable(url: str, said: str, seconds: float) -> None:
    database = open_database(url)
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match=said):
        await database.prepare()
    with pytest.raises(DatabaseUnavailable):
        await database.ping()
    assert time.monotonic() - started < seconds
    await database.close()


async def test_the_pool_survives_a_restart_of_the_server(breakable_mariadb: MariaDB) -> None:
    database = open_database(breakable_mariadb.url("restarted"), pool_size=3)
    await migrate.upgrade(database)
    await asyncio.gather(*(database.ping() for _ in range(9)))
    await asyncio.to_thread(breakable_mariadb.kill)
    with pytest.raises(DatabaseUnavailable):
        await database.ping()
    await asyncio.to_thread(breakable_mariadb.start)
    await asyncio.gather(*(database.ping() for _ in range(9)))
    await add_users(database, 1)
    await database.close()


async def test_the_pool_replaces_killed_connections(
    breakable_mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(breakable_mariadb.url("killed"), pool_size=3)
    await migrate.upgrade(database)
    await asyncio.gather(*(database.ping() for _ in range(9)))
    ours = "SELECT id FROM information_schema.processlist WHERE db = 'killed'"
    killed = [f"KILL {id_};" for (id_,) in breakable_mariadb.execute(ours)]
    assert killed
    breakable_mariadb.execute("".join(killed))
    monkeypatch.setattr(recent_module, "RESTED_SECONDS", 0)  # all are asked whether they live
    await asyncio.gather(*(database.ping() for _ in range(9)))
    await add_users(database, 1)
    await database.close()


async def test_a_connection_that_was_used_just_now_is_lent_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_module, "RESTED_SECONDS", 30)
    database = open_database(database_url, pool_size=2)
    await migrate.upgrade(database)
    taken: list[Any] = []
    event.listen(database._reads.sync_engine, "checkout", lambda *about: taken.append(about))

    async def fail() -> None:
        async with database.read():
            raise ZeroDivisionError

    for _ in range(5):
        await database.ping()
    assert len(taken) <= 1
    with pytest.raises(ZeroDivisionError):
        await fail()  # whatever it was, the next one is asked whether it lives
    taken.clear()
    await database.ping()
    assert len(taken) == 1
    # Never more than the pool has, the recent ones included.
    await asyncio.gather(*(database.ping() for _ in range(20)))
    assert len(taken) <= 2
    monkeypatch.setattr(recent_module, "RESTED_SECONDS", 0)
    taken.clear()
    await asyncio.gather(*(database.ping() for _ in range(20)))
    assert len(taken) == 20
    await database.close()


async def test_a_server_that_hangs_is_given_up_and_found_again(
    breakable_mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "CONNECT_SECONDS", 0.5)
    database = open_database(breakable_mariadb.url("hangs"), pool_size=2)
    await migrate.upgrade(database)
    breakable_mariadb.pause()
    try:
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await database.ping()
        with pytest.raises(DatabaseUnavailable):
            async with database.write(seconds=0.5) as connection:
                await connection.execute(text("UPDATE log_head SET position = 7"))
        assert time.monotonic() - started < 5
    finally:
        breakable_mariadb.resume()
    await asyncio.gather(*(database.ping() for _ in range(5)))
    async with database.write() as connection:
        assert (await connection.execute(text("SELECT position FROM log_head"))).scalar() == 0
    await database.close()


async def test_the_loser_of_a_deadlock_goes_again(mariadb: MariaDB) -> None:
    database = open_database(mariadb.url("deadlocks"))
    await migrate.upgrade(database)
    one, two = await add_users(database, 2)
    locked = {one: asyncio.Event(), two: asyncio.Event()}
    tries = []

    async def lock(first: int, second: int) -> None:
        tries.append(first)
        async with database.write() as connection:
            touch = text("UPDATE users SET password_hash = 'y' WHERE id = :id")
            await connection.execute(touch, {"id": first})
            locked[first].set()
            await locked[second].wait()
            await connection.execute(touch, {"id": second})

    async with asyncio.timeout(20):
        await asyncio.gather(
            retrying_deadlocks(lambda: lock(one, two)), retrying_deadlocks(lambda: lock(two, one))
        )
    assert len(tries) == 3

    async def always() -> None:
        tries.append(0)
        raise Deadlocked("again and again")

    with pytest.raises(DatabaseUnavailable):
        await retrying_deadlocks(always)
    assert tries.count(0) == database_module.DEADLOCK_TRIES
    await database.close()


@pytest.mark.parametrize("parameter", ["bogus=1", "ssl-mode=weird"])
def test_a_parameter_that_is_not_known_is_named(parameter: str) -> None:
    with pytest.raises(DatabaseUnsuitable, match=r"bogus|weird"):
        Database(f"mysql+asyncmy://u:p@127.0.0.1/db?{parameter}")


@pytest.mark.parametrize(
    ("parameter", "verified", "named"),
    [
        ("ssl-mode=REQUIRED", False, False),
        ("sslmode=require", False, False),
        ("ssl=true", False, False),
        ("ssl-mode=VERIFY_CA", True, False),
        ("sslmode=verify-full", True, True),
    ],
)
def test_tls_is_as_the_address_says(parameter: str, verified: bool, named: bool) -> None:
    context = mysql_module.tls(make_url(f"mysql://u:p@127.0.0.1/db?charset=utf8&{parameter}"))
    assert context is not None
    assert (context.verify_mode is ssl.CERT_REQUIRED, context.check_hostname) == (verified, named)
    assert mysql_module.tls(make_url("mysql://u:p@127.0.0.1/db?ssl-mode=DISABLED")) is None
