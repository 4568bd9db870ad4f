"""Statements that go straight to the driver fail, and are cancelled, like all the others."""

import asyncio

import pytest
from sqlalchemy import bindparam, select, text

from db import migrate
from db.engines.database import Database, DatabaseUnavailable
from db.engines.statements import Statement
from db.messages import page_messages
from tests.db.rows import add_messages, add_users, open_database
from tests.support.mariadb import MariaDB

ECHO = Statement(lambda dialect: select(bindparam("first"), bindparam("second")))
BROKEN = Statement(lambda dialect: text("SELECT missing FROM nowhere"))
SLOW = {
    "mysql": text("SELECT SLEEP(5)"),
    "sqlite": text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000)"
        " SELECT MAX(i) FROM n"
    ),
}
WAIT = Statement(lambda dialect: SLOW["sqlite" if dialect.name == "sqlite" else "mysql"])


async def ask(
    database: Database, statement: Statement, **values: object
) -> list[tuple[object, ...]]:
    async with database.read() as connection:
        return [tuple(row) for row in await statement.fetch(connection, values)]


async def test_values_are_bound_by_their_names(database: Database) -> None:
    quoted = 'it\'s \\ "%s" 😀'
    for number in (1, -(2**63), 2**63 - 1):
        assert await ask(database, ECHO, second=quoted, first=number) == [(number, quoted)]


async def test_a_cancelled_call_leaves_its_answer_to_nobody(database_url: str) -> None:
    database = open_database(database_url, pool_size=1)
    await migrate.upgrade(database)
    for number in range(3):
        caller = asyncio.create_task(ask(database, WAIT))
        await asyncio.sleep(0.02 * number)  # before it is sent, and while it is being answered
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await ask(database, ECHO, first=number, second="x") == [(number, "x")]
    await database.close()


async def test_a_statement_that_cannot_be_run_does_not_take_the_next_with_it(
    database: Database,
) -> None:
    with pytest.raises(Exception, match=r"nowhere|doesn"):
        await ask(database, BROKEN)
    assert await ask(database, ECHO, first=1, second="x") == [(1, "x")]


async def test_a_killed_connection_is_told_and_replaced(breakable_mariadb: MariaDB) -> None:
    database = open_database(breakable_mariadb.url("killed_reads"), pool_size=1)
    await migrate.upgrade(database)
    [user] = await add_users(database, 1)
    await add_messages(database, [(user, None)] * 3)
    async with database.read() as connection:
        assert len(await page_messages(connection, user, limit=10)) == 3
    find = "SELECT id FROM information_schema.processlist WHERE db = 'killed_reads'"

    async def read_while_killed() -> None:
        async with database.read() as connection:
            for (id_,) in await asyncio.to_thread(breakable_mariadb.execute, find):
                await asyncio.to_thread(breakable_mariadb.execute, f"KILL {id_}")
            await page_messages(connection, user, limit=10)

    with pytest.raises(DatabaseUnavailable):
        await read_while_killed()
    async with database.read() as connection:
        assert len(await page_messages(connection, user, limit=10)) == 3
    await database.close()


async def test_a_change_of_the_table_does_not_break_what_is_prepared(mariadb: MariaDB) -> None:
    database = open_database(mariadb.url("altered_reads"), pool_size=1)
    await migrate.upgrade(database)
    [user] = await add_users(database, 1)
    await add_messages(database, [(user, None)] * 3)
    change = "ALTER TABLE messages MODIFY content MEDIUMTEXT COLLATE utf8mb4_bin NOT NULL"
    for statement in ("DO 0", change, "ALTER TABLE messages ADD COLUMN more INT FIRST"):
        await asyncio.to_thread(mariadb.execute, statement, "altered_reads")
        async with database.read() as connection:
            found = await page_messages(connection, user, limit=10)
        assert [message.content for message in found] == ["1", "2", "3"]
    await database.close()
