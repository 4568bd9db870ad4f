"""What each error of a database means for us, and what the log says of it."""

import asyncio
import logging
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
import uvloop
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from db import migrate
from db.engines.database import Database, DatabaseMoved, DatabaseUnavailable, TooLargeForDatabase
from db.engines.troubles import Judging, Remedy, Trouble, judge
from tests.db.rows import add_users, draft, expect_dense, open_database, running_log
from tests.support.mariadb import MariaDB


def _mysql(code: int, words: str = "words") -> DBAPIError:
    return OperationalError("INSERT 'a secret'", ("a secret",), Exception(code, words))


@pytest.mark.parametrize(
    ("codes", "remedy"),
    [
        ((1213, 1205, 1020, 3101), Remedy.RETRY),
        ((1290, 1792, 1836, 1047, 1053, 3032, 3100), Remedy.RECONNECT),
        ((1040, 1203, 1226, 1021, 1114, 1030, 2006, 2013, 9999), Remedy.REFUSE),
        ((1153, 1118), Remedy.SHRINK),
    ],
)
def test_each_number_of_mysqls_has_its_remedy(codes: tuple[int, ...], remedy: Remedy) -> None:
    for code in codes:
        trouble = judge(_mysql(code), is_sqlite=False)
        assert trouble is not None
        assert (code, trouble.remedy) == (code, remedy)
        assert "secret" not in trouble.words


def test_a_failed_commit_is_tried_again_where_it_is_galeras() -> None:
    lost = judge(_mysql(1180, 'Got error 149 "Lock deadlock" during COMMIT'), is_sqlite=False)
    full = judge(_mysql(1180, 'Got error 28 "No space left" during COMMIT'), is_sqlite=False)
    assert (lost and lost.remedy, full and full.remedy) == (Remedy.RETRY, Remedy.REFUSE)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("SQLITE_BUSY", Remedy.BUSY),
        ("SQLITE_READONLY_DBMOVED", Remedy.RECONNECT),
        ("SQLITE_FULL", Remedy.REFUSE),
        ("SQLITE_IOERR_WRITE", Remedy.REFUSE),
        ("SQLITE_CORRUPT", Remedy.DAMAGED),
        ("SQLITE_NOTADB", Remedy.DAMAGED),
    ],
)
def test_each_code_of_sqlites_has_its_remedy(name: str, remedy: Remedy) -> None:
    told: Any = sqlite3.DatabaseError("words")
    told.sqlite_errorcode = getattr(sqlite3, name)
    trouble = judge(DBAPIError("x", None, told), is_sqlite=True)
    assert trouble is not None
    assert trouble.remedy is remedy


def test_what_an_unknown_error_quotes_is_not_said() -> None:
    trouble = judge(_mysql(1999, "Odd value 'my dear' in 'messages"), is_sqlite=False)
    assert trouble is not None
    assert "dear" not in trouble.words
    assert judge(ValueError("ours"), is_sqlite=False) is None


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_proxy_that_has_no_server_makes_the_database_unavailable(loop: str) -> None:
    async def connect() -> list[BaseException]:
        # As HAProxy does: it takes the connection, finds no server, and resets.
        def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        server = await asyncio.start_server(close, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        database = Database(f"mysql+asyncmy://user:word@127.0.0.1:{port}/name")
        found = await asyncio.gather(*(database.ping() for _ in range(200)), return_exceptions=True)
        await database.close()
        server.close()
        return [error for error in found if error is not None]

    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        errors = runner.run(connect())
    assert {type(error) for error in errors} == {DatabaseUnavailable}
    assert len(errors) == 200


def test_a_trouble_is_said_at_once_and_then_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging = Judging(is_sqlite=False)
    for _ in range(50):
        judging.say(Trouble(Remedy.REFUSE, "1040", "Too many connections"))
    judging.say(Trouble(Remedy.RETRY, "1213", "Deadlock"))
    assert len(caplog.records) == 2
    monkeypatch.setattr("db.engines.troubles.SAY_SECONDS", 0.0)
    judging.say(Trouble(Remedy.REFUSE, "1040", "Too many connections"))
    assert "49 more of these since the last line" in caplog.text


async def test_a_server_that_becomes_read_only_is_left_and_used_again(
    breakable_mariadb: MariaDB, caplog: pytest.LogCaptureFixture
) -> None:
    # The tests' own user may write to a server that is read-only, as a replica's thread may.
    breakable_mariadb.execute(
        "CREATE USER IF NOT EXISTS plain@'%' IDENTIFIED BY 'plain';"
        " GRANT ALL PRIVILEGES ON roles.* TO plain@'%'; CREATE DATABASE roles"
    )
    where = f"{breakable_mariadb.host}:{breakable_mariadb.port}"
    database = open_database(f"mysql://plain:plain@{where}/roles", pool_size=2)
    await migrate.upgrade(database)
    [user] = await add_users(database, 1)
    await database.check_writable()
    find = "SELECT id FROM information_schema.processlist WHERE user = 'plain'"
    async with running_log(database) as log:
        await log.append(draft(user))
        before = {id_ for (id_,) in breakable_mariadb.execute(find)}
        breakable_mariadb.execute("SET GLOBAL read_only = 1")
        try:
            with pytest.raises(DatabaseMoved):
                await log.append(draft(user))
            await asyncio.sleep(1.1)  # it was found to be writable less than a second ago
            with pytest.raises(DatabaseUnavailable):
                await database.check_writable()
            # Reads go on, over connections that are new.
            await database.ping()
        finally:
            breakable_mariadb.execute("SET GLOBAL read_only = 0")
        started = time.monotonic()
        while True:
            try:
                await log.append(draft(user))
                break
            except DatabaseUnavailable:
                assert time.monotonic() - started < 5
                await asyncio.sleep(0.1)
    await asyncio.sleep(1.1)
    await database.check_writable()
    for _ in range(3):
        await database.ping()
    after = {id_ for (id_,) in breakable_mariadb.execute(find)}
    assert not before & after
    await expect_dense(database)
    said = [r.getMessage() for r in caplog.records if "read-only" in r.getMessage()]
    assert said
    assert len(said) <= 2
    await database.close()


async def test_the_first_send_after_the_roles_have_changed_is_stored(
    breakable_mariadb: MariaDB,
) -> None:
    database = open_database(breakable_mariadb.url("moved"), pool_size=2)
    await migrate.upgrade(database)
    [user] = await add_users(database, 1)
    tries = []
    whole = database.write_whole

    def refuse_once() -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise DatabaseMoved("read-only")
        return whole()

    async with running_log(database) as log:
        await log.append(draft(user))
        database.write_whole = refuse_once  # type: ignore[method-assign]
        assert (await log.append(draft(user))).id == 2
    assert len(tries) == 2
    await database.close()


async def test_a_small_packet_is_warned_of_and_refuses_only_what_does_not_fit(
    breakable_mariadb: MariaDB, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    breakable_mariadb.execute("SET GLOBAL max_allowed_packet = 32768")
    try:
        database = open_database(breakable_mariadb.url("packets"))
        await migrate.upgrade(database)
        assert "max_allowed_packet is 32768 bytes: set it to 4194304" in caplog.text
        flooding, other = await add_users(database, 2)
        async with running_log(database) as log:
            await log.append(draft(other))
            sends = []
            for number in range(60):
                sends.append(log.append(draft(flooding, None, "x" * 16_000, f"f{number}")))
                sends.append(log.append(draft(other, None, "hello")))
            sends.append(log.append(draft(flooding, None, "ü" * 12_000)))
            large = log.append(draft(flooding, None, "'" * 20_000))
            larger = log.append(draft(flooding, None, "🙂" * 10_000))
            stored = await asyncio.gather(*sends)
            for each in (large, larger):
                with pytest.raises(TooLargeForDatabase):
                    await each
        assert [message.id for message in stored] == [*range(2, 123)]
        assert "max_allowed_packet is 32768" in caplog.records[-1].getMessage()
        await expect_dense(database)
        await database.close()
    finally:
        breakable_mariadb.execute("SET GLOBAL max_allowed_packet = 16777216")


async def test_too_many_connections_are_said(
    breakable_mariadb: MariaDB, caplog: pytest.LogCaptureFixture
) -> None:
    breakable_mariadb.execute(
        "CREATE USER IF NOT EXISTS few@'%' IDENTIFIED BY 'few' WITH MAX_USER_CONNECTIONS 2;"
        " GRANT ALL PRIVILEGES ON few.* TO few@'%'; CREATE DATABASE few"
    )
    where = f"{breakable_mariadb.host}:{breakable_mariadb.port}"
    database = open_database(f"mysql://few:few@{where}/few")
    await migrate.upgrade(database)

    async def hold() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT SLEEP(0.3)"))

    outcomes = await asyncio.gather(*(hold() for _ in range(10)), return_exceptions=True)
    assert any(isinstance(outcome, DatabaseUnavailable) for outcome in outcomes)
    assert "max_user_connections" in caplog.text
    assert "few:few" not in caplog.text
    await database.close()


async def test_a_damaged_file_is_told_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "parley.db"
    database = open_database(f"sqlite:///{path}")
    await migrate.upgrade(database)
    await database.close()
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
    broken: Database = open_database(f"sqlite:///{path}")
    with pytest.raises(DatabaseUnavailable):
        async with broken.read() as connection:
            await connection.execute(text("SELECT * FROM users"))
    assert "restore the file from a copy" in caplog.text
    await broken.close()
