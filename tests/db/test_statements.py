"""Statements that go straight to the driver fail, and are cancelled, like all the others."""

import asyncio

import pytest
from sqlalchemy import bindparam, select, text

from db import migrate
from db.engines.database import Database, DatabaseUnavailable
from db.engines.statements import Statement, delete_by_key, insert_many, rows_by_key
from db.messages import find_all_visible, page_messages
from db.of_messages.edits import read_edits
from db.of_messages.reactions import Reactions, read_reactions
from tests.db.rows import NOW, add_messages, add_users, open_database
from tests.support.mariadb import MariaDB
from tests.support.statements import statements_sent

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


TEXTS = [
    "", "plain", "it's", '{"ids":[1,2]}', "back\\slash", "%s %d {0} ?", ":name", "-- /* */ #",
    "a" * 1000, "é 😀", "new\nline", "tab\t", "x' OR '1'='1", "\\' OR 1=1 -- ", "\x1a\r",
]  # fmt: skip


async def test_any_text_is_inserted_as_it_is(database: Database) -> None:
    [user] = await add_users(database, 1)
    await add_messages(database, [(user, None)])
    names = ("message_id", "number", "content", "edited_at")
    rows = [(1, number, text_, NOW) for number, text_ in enumerate(TEXTS)]
    async with database.write() as connection:
        await insert_many(connection, "message_edits", names, rows)
    async with database.read() as connection:
        edits = (await read_edits(connection, [1]))[user, 1]
    assert edits == [(text_, NOW) for text_ in TEXTS]


async def test_a_row_that_is_there_takes_the_columns_that_are_replaced(database: Database) -> None:
    [user] = await add_users(database, 1)
    await add_messages(database, [(user, None)] * 2)
    names = ("message_id", "emoji", "number", "count", "first_users")
    async with database.write() as connection:
        await insert_many(connection, "reaction_counts", names, [(1, "👍", 1, 1, "[1]")])
        rows = [(1, "👍", 7, 2, "[1,2]"), (1, "it's", 2, 1, "[3]"), (2, "👍", 1, 1, "[4]")]
        said = ("count", "first_users")
        await insert_many(connection, "reaction_counts", names, rows, replacing=said)
        assert await read_reactions(connection, [1, 2, 3]) == {
            1: [Reactions("👍", 1, 2, (1, 2)), Reactions("it's", 2, 1, (3,))],
            2: [Reactions("👍", 1, 1, (4,))],
        }
        key = ("message_id", "emoji")
        await delete_by_key(connection, "reaction_counts", key, [(1, "it's"), (2, "it's")])
        await delete_by_key(connection, "reaction_counts", key, [])
        assert {*await read_reactions(connection, [1, 2])} == {1, 2}
        await delete_by_key(connection, "reaction_counts", ("message_id",), [(1,), (3,)])
        assert {*await read_reactions(connection, [1, 2])} == {2}
        assert not await rows_by_key(connection, "users", ("id",), [])


async def test_a_long_list_is_found_in_a_few_statements(database: Database) -> None:
    [user] = await add_users(database, 1)
    await add_messages(database, [(user, None)] * 450)
    for count in (0, 1, 2, 10, 11, 61, 199, 201, 450):
        async with database.read() as connection:
            with statements_sent(here=True) as sent:
                found = await find_all_visible(connection, user, {*range(1, count + 1)})
        assert {message.id for message in found} == {*range(1, count + 1)}
        assert len(sent) == -(-count // 200)


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
