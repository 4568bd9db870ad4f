"""Migrations: from nothing, again, at once, and to exactly what the models say."""

import asyncio
import sys

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import text

from db import migrate
from db.engines.database import Database
from db.messages import head_position
from db.models import EVERYBODY_ID
from db.people.sessions import find_token_states
from db.storage import stored_bytes
from tests.db.rows import (
    draft,
    everything,
    open_database,
    running_log,
)


async def test_the_tables_are_what_the_models_say(database: Database) -> None:
    await migrate.check(database)


async def test_the_check_sees_a_column_too_many_and_an_index_too_few(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("ALTER TABLE users ADD COLUMN shoe_size INTEGER"))
    with pytest.raises(CommandError, match="shoe_size"):
        await migrate.check(database)
    async with database.write() as connection:
        await connection.execute(text("ALTER TABLE users DROP COLUMN shoe_size"))
        on = "" if database.is_sqlite else " ON messages"
        await connection.execute(text(f"DROP INDEX ix_messages_conversation{on}"))
    with pytest.raises(CommandError, match="ix_messages_conversation"):
        await migrate.check(database)


def test_the_versions_are_alembics() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    newest_first = [script.revision for script in scripts.walk_revisions()]
    assert migrate.versions() == newest_first[::-1]


async def test_upgrading_again_changes_nothing(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("UPDATE log_head SET position = 7"))
    await migrate.upgrade(database)
    async with database.read() as connection:
        assert await head_position(connection) == 7
        assert (await connection.execute(text("SELECT COUNT(*) FROM log_head"))).scalar() == 1


async def test_processes_that_start_at_once_migrate_one_after_the_other(database_url: str) -> None:
    program = (
        "import asyncio, sys; from db import migrate; from tests.db.rows import open_database\n"
        "async def main():\n"
        "    database = open_database(sys.argv[1])\n"
        "    print('ready', flush=True); sys.stdin.readline()\n"
        "    await migrate.upgrade(database); await database.close()\n"
        "asyncio.run(main())"
    )
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, database_url, stdin=pipe, stdout=pipe, stderr=pipe
        )
        for _ in range(3)
    ]
    async with asyncio.timeout(60):
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        ends = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0], ends
    database = open_database(database_url)
    await migrate.check(database)
    async with database.read() as connection:
        assert await head_position(connection) == 0
    await database.close()


PEOPLE = (
    "INSERT INTO users (id, email, display_name, search_name, password_hash, created_at) VALUES"
    " (1, 'a@example.com', 'A', 'a', 'x', '2026-01-02 03:04:05'),"
    " (2, 'b@example.com', 'B', 'b', 'x', '2026-01-02 03:04:05')"
)
MESSAGES = (
    "INSERT INTO messages (id, sender_id, receiver_id, lower_user_id, higher_user_id, kind,"
    " content, created_at) VALUES"
    " (1, 1, 2, 1, 2, 'TEXT', 'to one', '2026-01-02 03:04:05'),"
    " (2, 2, NULL, NULL, NULL, 'TEXT', 'to all', '2026-01-02 03:04:05'),"
    " (3, 2, 1, 1, 2, 'TEXT', 'back', '2026-01-02 03:04:05'),"
    " (4, 2, 2, 2, 2, 'TEXT', 'to myself', '2026-01-02 03:04:05')",
    "UPDATE log_head SET position = 4",
)


async def _upgraded(url: str, revision: str, *statements: str) -> Database:
    """Return a database that was made by an older version, which ran these statements."""
    database = open_database(url)
    await migrate.upgrade(database, revision=revision)
    async with database.write() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await migrate.upgrade(database)
    await migrate.check(database)
    return database


async def test_messages_of_the_first_version_are_still_there_and_can_be_joined_by_one(
    database_url: str,
) -> None:
    database = await _upgraded(database_url, "0001", PEOPLE, *MESSAGES)
    found = [(m.id, m.sender_id, m.receiver_id, m.content) for m in await everything(database)]
    assert found == [
        (1, 1, 2, "to one"),
        (2, 2, None, "to all"),
        (3, 2, 1, "back"),
        (4, 2, 2, "to myself"),
    ]
    async with running_log(database) as log:
        assert (await log.append(draft(1, 2))).id == 5
    await database.close()


async def test_messages_are_put_into_their_conversations(database_url: str) -> None:
    database = await _upgraded(database_url, "0008", PEOPLE, *MESSAGES)
    first, broadcast, back, own = [m.conversation_id for m in await everything(database)]
    assert broadcast == EVERYBODY_ID
    assert first == back
    assert len({first, broadcast, own}) == 3
    async with database.read() as connection:
        rows = await connection.execute(
            text("SELECT conversation_id, user_id, activity, read_position FROM members")
        )
        members = [tuple(row) for row in rows]
        delivered = await connection.execute(text("SELECT delivered_position FROM users"))
        # What was there at the upgrade counts as read.
        assert {*delivered.scalars()} == {4}
    of_everybody = [(EVERYBODY_ID, 1, 0, 4), (EVERYBODY_ID, 2, 0, 4)]
    assert sorted(members) == sorted(
        [(first, 1, 3, 4), (first, 2, 3, 4), (own, 2, 4, 4), *of_everybody]
    )
    async with running_log(database) as log:
        assert (await log.append(draft(2, 1))).conversation_id == first
    await database.close()


async def test_users_of_before_sessions_are_neither_administrators_nor_disabled(
    database_url: str,
) -> None:
    database = await _upgraded(database_url, "0002", PEOPLE)
    async with database.read() as connection:
        rows = await connection.execute(
            text("SELECT is_admin, disabled_at, deleted_at, tokens_from FROM users")
        )
        assert [tuple(row) for row in rows] == [(0, None, None, None)] * 2
    await database.close()


async def test_what_was_uploaded_before_there_was_a_quota_counts(database_url: str) -> None:
    database = await _upgraded(
        database_url,
        "0005",
        PEOPLE,
        "INSERT INTO files (id, name, sha256, size, media_type, thumbnail_size, created_at)"
        " VALUES (1, '00/0', '0', 100, 'image/png', 7, '2026-01-02 03:04:05')",
        "INSERT INTO attachments (id, owner_id, file_id, kind, filename, created_at) VALUES"
        " (1, 1, 1, 'IMAGE', 'a', '2026-01-02 03:04:05'),"
        " (2, 1, 1, 'IMAGE', 'a', '2026-01-02 03:04:05')",
    )
    async with database.read() as connection:
        assert [await stored_bytes(connection, user) for user in (1, 2)] == [214, 0]
    await database.close()


async def test_users_of_before_the_upgrade_read_every_broadcast(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = await _upgraded(database_url, "0006", PEOPLE, *MESSAGES)
    assert "of version 0006. No server of an older Parley may run on this" in caplog.text
    async with database.read() as connection:
        [state] = await find_token_states(connection, [(2, None)])
    assert state is not None
    assert state.joined_position == 0
    await database.close()
