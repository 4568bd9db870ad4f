"""Migrations ended after each of their statements: the next one finishes the work."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, event, text

from db import migrate
from db.engines.database import Database, DatabaseUnsuitable
from db.facts import read_controls, read_cursor, read_log
from events.facts import AccountChanged, BlockChanged, Fact, SessionEnded, SessionRenewed
from tests.db.rows import open_database
from tests.faults.waits import until
from tests.support import snapshots
from tests.support.mariadb import MariaDB

ROOT = Path(__file__).resolve().parents[2]
USERS = (
    "INSERT INTO users (id, email, display_name, search_name, password_hash, created_at)"
    " VALUES (1, 'a@example.com', 'A', 'a', 'x', '2026-01-02 03:04:05'),"
    " (2, 'b@example.com', 'B', 'b', 'x', '2026-01-02 03:04:05')"
)
HEAD = "UPDATE log_head SET position = 2"
# A broadcast and a direct message.
PAIRS = (
    USERS,
    "INSERT INTO messages (id, sender_id, receiver_id, lower_user_id, higher_user_id, kind,"
    " content, created_at) VALUES (1, 1, NULL, NULL, NULL, 'TEXT', 'kept', '2026-01-02 03:04:05'),"
    " (2, 1, 2, 1, 2, 'TEXT', 'too', '2026-01-02 03:04:05')",
    HEAD,
)
CONVERSATIONS = (
    USERS,
    "INSERT INTO conversations (id, kind, lower_user_id, higher_user_id, shows_earlier, created_at)"
    " VALUES (2, 'DIRECT', 1, 2, 1, '2026-01-02 03:04:05')",
    "INSERT INTO messages (id, sender_id, receiver_id, conversation_id, kind, content, created_at)"
    " VALUES (1, 1, NULL, 1, 'TEXT', 'kept', '2026-01-02 03:04:05'),"
    " (2, 1, 2, 2, 'TEXT', 'too', '2026-01-02 03:04:05')",
    "INSERT INTO members (conversation_id, user_id, role, joined_position, activity, read_position,"
    " archived, pinned) SELECT c.id, u.id, 'MEMBER', 0, 2, 2, 0, 0 FROM conversations c, users u",
    HEAD,
)
# What leaves something behind; between two of these nothing does.
CHANGES = {"CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE", "COMMIT"}
# Of older migrations, which change no more, two places are tried: what goes on with them is the
# same code for all. FAULTS=long tries each place of each.
NEWEST = len(migrate.versions()) if os.environ.get("FAULTS") == "long" else 3
WAITS = "Another process changes the database's tables"
# What the notices said, of who has blocked whom and of sessions.
NOTICES = (
    "INSERT INTO blocks (blocker_id, blocked_id, created_at) VALUES (1, 2, '2026-01-02 03:04:05')",
    "INSERT INTO notices (kind, user_id, other, moment, created_at) VALUES"
    " ('block.changed', 1, 2, NULL, '2026-01-02 03:04:05'),"
    " ('session.ended', 2, 7, NULL, '2026-01-02 03:04:06'),"
    " ('session.renewed', 2, 8, '2026-03-04 05:06:07', '2026-01-02 03:04:07'),"
    " ('user.changed', 2, NULL, NULL, '2026-01-02 03:04:08'),"
    " ('older_tokens.ended', 1, NULL, NULL, '2026-01-02 03:04:09')",
)
MOMENT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
FACTS = [
    (3, 1, BlockChanged(2, True)),
    (4, 2, SessionEnded((7,))),
    (5, 2, SessionRenewed(8, MOMENT)),
    (6, 2, AccountChanged(False, False, False)),
    (7, 1, SessionEnded((), older_tokens=True)),
]
KEPT = (
    "SELECT m.id, m.content, u.email, l.position, c.kind FROM users u, log_head l, messages m"
    " JOIN conversations c ON c.id = m.conversation_id WHERE u.id = m.sender_id ORDER BY m.id"
)
JOINED = (
    "SELECT c.kind, m.user_id, m.read_position FROM members m"
    " JOIN conversations c ON c.id = m.conversation_id"
)


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def _ended_after(database: Database, statements: int) -> Iterator[list[str]]:
    """End whatever writes after so many statements: as kill -9 does, without a rollback of ours."""
    ran: list[str] = []

    def count(connection: Connection, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.split()[0] not in CHANGES:
            return
        ran.append(statement)
        if len(ran) == statements:
            # The server sees the connection go; what is not committed goes with it.
            connection.invalidate()
            raise Killed

    engine = database._writes.sync_engine
    event.listen(engine, "after_cursor_execute", count)
    try:
        yield ran
    finally:
        event.remove(engine, "after_cursor_execute", count)


async def _add_data(database: Database, revision: str | None) -> None:
    """Put people and their messages into the tables of this revision."""
    if revision is None:
        return
    async with database.write() as connection:
        data = CONVERSATIONS if revision >= "0009" else PAIRS
        for statement in data + (NOTICES if _has_notices(revision) else ()):
            await connection.execute(text(statement))


def _has_notices(revision: str | None) -> bool:
    return revision is not None and "0004" <= revision < "0008"


@pytest.mark.timeout(600)
async def test_ended_after_any_statement_it_is_gone_on_with(database_url: str) -> None:
    began = datetime.now(UTC)
    database = open_database(database_url)
    await database.prepare()
    empty = await snapshots.take(database)
    positions = 0
    revisions = migrate.versions()
    newest = revisions[-NEWEST:]

    async def now() -> snapshots.Snapshot:
        return snapshots.comparable(await snapshots.take(database), began)

    # Each migration alone, from the state before it. All it does is compared with what it does
    # when nobody ends it: what follows is then as if nothing had happened.
    for revision, following in zip((None, *revisions[:-1]), revisions, strict=True):
        await snapshots.restore(database, empty)
        await _add_data(database, revision)
        before = await snapshots.take(database)
        with _ended_after(database, 0) as every:
            await migrate.upgrade(database, revision=following)
        after, whole = await now(), len(every)
        await migrate.upgrade(database)
        await _expect_everything_kept(database, revision)
        for statements in range(1, whole + 1) if following in newest else (whole // 2, whole - 1):
            await snapshots.restore(database, before)
            with _ended_after(database, statements) as ran, pytest.raises(Killed):
                await migrate.upgrade(database, revision=following)
            positions += 1
            assert len(ran) == statements
            if database.is_sqlite:  # whose upgrade is one transaction
                assert await now() == snapshots.comparable(before, began), ran
            else:
                await migrate.upgrade(database, revision=following)
                assert await now() == after, ran
        await snapshots.restore(database, empty)
        await migrate.upgrade(database, revision=following)
        empty = await snapshots.take(database)
    assert positions >= 2 * len(revisions)
    await database.close()


async def _expect_everything_kept(database: Database, revision: str | None) -> None:
    """Look at the newest tables, of a database that had the data of this revision in it."""
    await migrate.check(database)
    async with database.read() as connection:
        heads = (await connection.execute(text("SELECT id, position FROM log_head"))).all()
        noticed = _has_notices(revision)
        position = 7 if noticed else 0 if revision is None else 2
        assert heads == [(1, position)]
        if revision is not None:
            kept = (await connection.execute(text(KEPT))).all()
            assert kept == [
                (1, "kept", "a@example.com", position, "EVERYBODY"),
                (2, "too", "a@example.com", position, "DIRECT"),
            ]
            joined = (await connection.execute(text(JOINED))).all()
            assert {*joined} == {
                (kind, user_id, position) for kind in ("DIRECT", "EVERYBODY") for user_id in (1, 2)
            }
            assert len(joined) == 4
        facts = await read_controls(connection, 0, position)
        assert len(facts) == 2 * noticed
        entries = await read_log(connection, 2, position, 9)
        assert FACTS * noticed == [
            (fact.id, fact.actor_id, fact.body) for fact in entries if isinstance(fact, Fact)
        ]
        assert len((await read_cursor(connection))[0]) == 32


async def test_a_table_that_is_not_ours_is_named_and_left_alone(mariadb: MariaDB) -> None:
    mariadb.execute("CREATE DATABASE theirs CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    mariadb.execute("CREATE TABLE log_head (id INT PRIMARY KEY, name VARCHAR(9))", "theirs")
    mariadb.execute("INSERT INTO log_head VALUES (7, 'theirs')", "theirs")
    database = open_database(mariadb.url("theirs"))
    with pytest.raises(
        DatabaseUnsuitable, match=r"table 'log_head' that is not Parley's.*position"
    ):
        await migrate.upgrade(database)
    await database.close()
    assert mariadb.execute("SELECT * FROM log_head", "theirs") == [["7", "theirs"]]


async def test_every_kind_of_change_may_be_made_twice(mariadb: MariaDB) -> None:
    mariadb.execute("CREATE DATABASE twice CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    database = open_database(mariadb.url("twice"))

    def key() -> sa.Column[int]:
        return sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False)

    def change(connection: Connection) -> None:
        import db.resumable  # noqa: F401

        operations = Operations(MigrationContext.configure(connection))
        for _ in range(2):
            table = operations.create_table("one", key(), sa.Column("other", sa.Integer()))
            operations.create_table("two", key())
            operations.bulk_insert(table, [{"id": 1, "other": 7}])
            operations.create_index("ix_one", "one", ["other"])
            operations.add_column("one", sa.Column("more", sa.Integer()))
            operations.create_unique_constraint("uq_one", "one", ["more"])
            operations.create_foreign_key("fk_one", "one", "two", ["more"], ["id"])
            operations.create_check_constraint("ck_one", "one", "other > 0")
        for _ in range(2):
            operations.drop_constraint("fk_one", "one", type_="foreignkey")
            operations.alter_column(
                "one", "more", new_column_name="less", existing_type=sa.Integer()
            )
            operations.rename_table("two", "three")
        for _ in range(2):
            operations.drop_index("ix_one", "one")
            operations.drop_constraint("ck_one", "one", type_="check")
            operations.drop_column("one", "less")
            operations.drop_table("three")

    async with database.read() as connection:
        await connection.run_sync(change)
        assert (await connection.execute(text("SELECT * FROM one"))).all() == [(1, 7)]
    with pytest.raises(ValueError, match="primary key"):
        async with database.read() as connection:
            await connection.run_sync(_insert_without_key)
    await database.close()


def _insert_without_key(connection: Connection) -> None:
    operations = Operations(MigrationContext.configure(connection))
    operations.bulk_insert(sa.table("one", sa.column("other")), [{"other": 1}])


@pytest.mark.parametrize(
    ("engine", "signum"),
    [("sqlite", signal.SIGINT), ("mariadb", signal.SIGTERM)],
    indirect=["engine"],
    scope="session",
)
async def test_a_stop_waits_for_the_statement_and_the_next_start_goes_on(
    database_url: str, signum: signal.Signals, tmp_path: Path
) -> None:
    # Each statement of ours is followed by a moment in which a signal meets it.
    program = (
        "import os, signal, sys\n"
        "from db import resumable\n"
        "import main\n"
        "run, made = resumable._Stoppable._exec, []\n"
        "def slowly(self, construct, *a, **k):\n"
        "    outcome = run(self, construct, *a, **k)\n"
        "    made.append(str(construct))\n"
        "    if len(made) == 6:\n"
        "        os.kill(os.getpid(), int(sys.argv[1]))\n"
        "    return outcome\n"
        "resumable._Stoppable._exec = slowly\n"
        "main.main(['migrate'])\n"
    )
    environment = {**os.environ, "DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)}
    plain = "import main; main.main(['migrate'])"
    for attempt in range(2):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program if attempt == 0 else plain,
            str(int(signum)),
            cwd=ROOT,
            env=environment,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(process.communicate(), 60)
        if attempt == 0:
            assert process.returncode == 128 + signum, said
            assert b"the next start goes on from here" in said
            assert b"Traceback" not in said
        else:
            assert process.returncode == 0, said
    database = open_database(database_url)
    await migrate.check(database)
    await database.close()


async def test_whoever_waits_for_anothers_migration_says_so_and_a_dead_ones_lock_is_free(
    mariadb: MariaDB, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (open_database(mariadb.url("in_turn")) for _ in range(2))
    await first.prepare()
    async with first.read() as connection:
        lock = f"SELECT GET_LOCK({migrate.LOCK}, 0)"
        assert (await connection.execute(text(lock))).scalar() == 1
        waiting = asyncio.create_task(migrate.upgrade(second))
        await until(lambda: WAITS in caplog.text, 10)
        assert not waiting.done()
        # Its machine is gone: nobody releases anything.
        await connection.invalidate()
        await asyncio.wait_for(waiting, 20)
    await migrate.check(second)
    for each in (first, second):
        await each.close()


async def test_sqlite_waits_for_who_writes_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.engines.database.POOL_WAIT_SECONDS", 0.1)
    first, second = (open_database(f"sqlite:///{tmp_path / 'parley.db'}") for _ in range(2))
    await first.prepare()
    async with first.write():
        waiting = asyncio.create_task(migrate.upgrade(second))
        await until(lambda: WAITS in caplog.text, 10)
    await asyncio.wait_for(waiting, 10)
    await migrate.check(second)
    for each in (first, second):
        await each.close()


async def test_tables_of_a_newer_parley_are_refused_in_a_line(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseUnsuitable, match=r"newer Parley \(version 9999"):
        await migrate.upgrade(database)
