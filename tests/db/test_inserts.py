"""A batch that is sent whole: refused, cancelled or cut, it leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from db import migrate
from db.engines.database import Database, DatabaseUnavailable
from db.log.drafts import Draft
from db.log.inserts import Bounds, append_in_one_trip
from tests.db.rows import NOW, add_users, draft, everything, expect_dense, open_database
from tests.support.mariadb import MariaDB

_numbers = count(1)


async def store(database: Database, *drafts: Draft) -> list[int]:
    """Return the positions that they took."""
    async with database.write_whole() as connection:
        return [
            message.id
            for message in await append_in_one_trip(
                connection, drafts, [1] * len(drafts), [1], NOW, Bounds(0)
            )
        ]


@pytest.fixture
async def mysql(mariadb: MariaDB) -> AsyncIterator[Database]:
    database = open_database(mariadb.url(f"entries_{next(_numbers)}"), pool_size=1)
    await migrate.upgrade(database)
    yield database
    await database.close()


async def test_what_is_read_back_is_what_was_returned(mysql: Database) -> None:
    one, other = await add_users(mysql, 2)
    drafts = [draft(one, other, "it's \\ 100 %s 😀", key="%s'"), draft(other), draft(one, one)]
    async with mysql.write_whole() as connection:
        stored = await append_in_one_trip(
            connection, drafts, [1] * len(drafts), [1], NOW, Bounds(0)
        )
    assert stored == await everything(mysql)


@pytest.mark.parametrize(
    ("content", "key", "error"), [("x", "used", IntegrityError), ("x", "k" * 1000, DataError)]
)
async def test_a_refused_batch_takes_no_position_and_holds_no_lock(
    mysql: Database, content: str, key: str, error: type[Exception]
) -> None:
    one, other = await add_users(mysql, 2)
    assert await store(mysql, draft(one, other, key="used")) == [1]
    with pytest.raises(error):
        await store(mysql, draft(one, other, "before"), draft(one, other, content, key))
    async with asyncio.timeout(5), mysql.write_whole() as connection:
        # The only connection of its pool: it is the same one, and in no transaction.
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        assert not driver.get_transaction_status()
    assert await store(mysql, draft(one, other)) == [2]
    await expect_dense(mysql)


async def test_a_cancelled_batch_leaves_its_answer_to_nobody(mysql: Database) -> None:
    one, other = await add_users(mysql, 2)
    for number in range(5):
        caller = asyncio.create_task(store(mysql, draft(one, other)))
        await asyncio.sleep(0.0005 * number)  # before it is sent, and while it is being answered
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        stored = len(await everything(mysql))
        assert await store(mysql, draft(one, other)) in ([stored + 1], [stored + 2])
    await expect_dense(mysql)


async def test_the_connection_that_is_kept_for_batches_is_missing_to_nobody(
    mysql: Database,
) -> None:
    one, other = await add_users(mysql, 2)
    await store(mysql, draft(one, other))
    async with asyncio.timeout(5):
        await add_users(mysql, 1)
        async with mysql.write(), mysql.write_whole():
            pass


async def test_a_killed_connection_is_told_and_replaced(mysql: Database, mariadb: MariaDB) -> None:
    one, other = await add_users(mysql, 2)
    async with mysql.write_whole() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        async with mysql.read() as reader:
            await reader.execute(text(f"KILL {driver.thread_id()}"))
        with pytest.raises(DBAPIError):
            await append_in_one_trip(connection, [draft(one, other)], [1], [], NOW, Bounds(0))
        assert connection.invalidated
    try:
        await store(mysql, draft(one, other))
    except DatabaseUnavailable:  # MariaDB had the others' deaths to tell as well
        await store(mysql, draft(one, other))
    await expect_dense(mysql)
