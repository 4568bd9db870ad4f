"""Migrations: from nothing, again, at once, and to exactly what the models say."""

import asyncio
import sys
from datetime import UTC, datetime

import pytest
from alembic.util.exc import CommandError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import attachments, migrate
from db.engines.database import Database
from db.messages import head_position
from db.models import Content, MessageKind
from db.sessions import find_token_states
from db.storage import stored_bytes
from tests.db.rows import (
    add_messages,
    add_users,
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


async def _go_back_before_facts(connection: AsyncConnection) -> None:
    await connection.execute(text("DROP TABLE log"))
    for column in ("control_position", "epoch", "broadcast"):
        await connection.execute(text(f"ALTER TABLE log_head DROP COLUMN {column}"))
    await connection.execute(
        text(
            "CREATE TABLE notices (id INTEGER PRIMARY KEY, kind VARCHAR(32), user_id BIGINT,"
            " other BIGINT, moment DATETIME, created_at DATETIME)"
        )
    )


async def test_messages_of_before_attachments_are_still_there_and_can_be_joined_by_one(
    database_url: str,
) -> None:
    database = open_database(database_url)
    await migrate.upgrade(database)
    one, two = await add_users(database, 2)
    await add_messages(database, [(one, two), (two, None)])
    before = await everything(database)
    # Back to 0001: what came later is gone, and everything else as it was.
    async with database.write() as connection:
        for table in ("blocks", "log", "familiar_addresses", "sessions", "message_attachments"):
            await connection.execute(text(f"DROP TABLE {table}"))
        for table in ("attachments", "files"):
            await connection.execute(text(f"DROP TABLE {table}"))
        for column in (
            "is_admin",
            "disabled_at",
            "deleted_at",
            "tokens_from",
            "stored_bytes",
            "joined_position",
        ):
            await connection.execute(text(f"ALTER TABLE users DROP COLUMN {column}"))
        for column in ("control_position", "epoch", "broadcast"):
            await connection.execute(text(f"ALTER TABLE log_head DROP COLUMN {column}"))
        await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    await migrate.upgrade(database)
    await migrate.check(database)
    assert await everything(database) == before
    async with running_log(database) as log:
        assert (await log.append(draft(one, two))).id == 3
    await database.close()


async def test_users_of_before_sessions_are_neither_administrators_nor_disabled(
    database_url: str,
) -> None:
    database = open_database(database_url)
    await migrate.upgrade(database)
    await add_users(database, 2)
    async with database.write() as connection:
        for table in ("blocks", "log", "familiar_addresses", "sessions"):
            await connection.execute(text(f"DROP TABLE {table}"))
        for column in (
            "is_admin",
            "disabled_at",
            "deleted_at",
            "tokens_from",
            "stored_bytes",
            "joined_position",
        ):
            await connection.execute(text(f"ALTER TABLE users DROP COLUMN {column}"))
        for column in ("control_position", "epoch", "broadcast"):
            await connection.execute(text(f"ALTER TABLE log_head DROP COLUMN {column}"))
        await connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    await migrate.upgrade(database)
    await migrate.check(database)
    async with database.read() as connection:
        rows = await connection.execute(
            text("SELECT is_admin, disabled_at, deleted_at, tokens_from FROM users")
        )
        assert [tuple(row) for row in rows] == [(0, None, None, None)] * 2
    await database.close()


async def test_what_was_uploaded_before_there_was_a_quota_counts(database_url: str) -> None:
    database = open_database(database_url)
    await migrate.upgrade(database)
    one, two = await add_users(database, 2)
    async with database.write() as connection:
        content = Content("00/0", "0" * 64, 100, "image/png", 1, 1, None, None, 7)
        file_id = await attachments.insert_file(connection, content, datetime.now(UTC))
        for _ in range(2):
            await attachments.insert_attachment(
                connection,
                owner_id=one,
                file_id=file_id,
                kind=MessageKind.IMAGE,
                filename="a",
                at=datetime.now(UTC),
            )
        for column in ("stored_bytes", "joined_position"):
            await connection.execute(text(f"ALTER TABLE users DROP COLUMN {column}"))
        await _go_back_before_facts(connection)
        await connection.execute(text("UPDATE alembic_version SET version_num = '0005'"))
    await migrate.upgrade(database)
    await migrate.check(database)
    async with database.read() as connection:
        assert [await stored_bytes(connection, user) for user in (one, two)] == [214, 0]
    await database.close()


async def test_users_of_before_the_upgrade_read_every_broadcast(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = open_database(database_url)
    await migrate.upgrade(database)
    one, two = await add_users(database, 2)
    await add_messages(database, [(one, None)])
    async with database.write() as connection:
        await connection.execute(text("ALTER TABLE users DROP COLUMN joined_position"))
        await _go_back_before_facts(connection)
        await connection.execute(text("UPDATE alembic_version SET version_num = '0006'"))
    assert "No server of an older" not in caplog.text
    await migrate.upgrade(database)
    assert "of version 0006. No server of an older Parley may run on this" in caplog.text
    async with database.read() as connection:
        [state] = await find_token_states(connection, [(two, None)])
    assert state is not None
    assert state.joined_position == 0
    await database.close()
