"""The log while its database is killed, cut off, hung and locked: callers hear the truth."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from db import migrate
from db.engines import database as database_module
from db.engines.database import Database, DatabaseUnavailable
from db.models import StoredMessage
from tests.db.rows import add_users, draft, expect_dense, open_database, running_log
from tests.support.inbox import Inbox
from tests.support.mariadb import MariaDB


@pytest.fixture
async def breakable(breakable_mariadb: MariaDB) -> AsyncIterator[Database]:
    """An empty database of the server that may be broken."""
    breakable_mariadb.execute("DROP DATABASE IF EXISTS broken")
    database = open_database(breakable_mariadb.url("broken"))
    await migrate.upgrade(database)
    yield database
    await database.close()


async def test_a_killed_database_loses_nothing_that_was_acknowledged(
    breakable: Database, breakable_mariadb: MariaDB
) -> None:
    [user] = await add_users(breakable, 1)
    over = asyncio.Event()
    stored: Inbox[StoredMessage] = Inbox()
    failed: list[BaseException] = []
    uncertain: list[None] = []

    async with running_log(breakable, uncertain=lambda: uncertain.append(None)) as log:

        async def talk(name: str) -> None:
            number = 0
            while not over.is_set():
                number += 1
                key = f"{name} {number}"
                while True:  # as a client does: again with the same key, until it is stored
                    try:
                        stored.put(await log.append(draft(user, None, key, key)))
                        break
                    except DatabaseUnavailable as error:
                        failed.append(error)
                        await asyncio.sleep(0.01)

        talkers = [asyncio.create_task(talk(f"talker {number}")) for number in range(5)]
        for _ in range(2):
            await stored.expect_many(lambda _: True, len(stored.items) + 50, 30)
            await asyncio.to_thread(breakable_mariadb.kill)
            await asyncio.to_thread(breakable_mariadb.start)
        await stored.expect_many(lambda _: True, len(stored.items) + 50, 30)
        over.set()
        await asyncio.wait_for(asyncio.gather(*talkers), 30)
    assert failed
    assert uncertain
    kept = await expect_dense(breakable)
    assert sorted(stored.items, key=lambda message: message.id) == kept


async def test_killed_connections_lose_nothing_that_was_acknowledged(
    breakable: Database, breakable_mariadb: MariaDB
) -> None:
    [user] = await add_users(breakable, 1)
    over = asyncio.Event()

    def kill_each() -> None:
        find = "SELECT id FROM information_schema.processlist WHERE db = 'broken'"
        for (id_,) in breakable_mariadb.execute(find):
            with suppress(RuntimeError):  # it has ended by itself
                breakable_mariadb.execute(f"KILL {id_}")

    async def kill() -> None:
        for _ in range(8):
            await asyncio.to_thread(kill_each)
        over.set()

    async with running_log(breakable) as log:
        killing = asyncio.create_task(kill())
        outcomes: list[StoredMessage | BaseException] = []
        while not over.is_set():
            drafts = [draft(user, None, "x") for _ in range(10)]
            outcomes += await asyncio.gather(
                *(log.append(each) for each in drafts), return_exceptions=True
            )
        await killing
        last = await log.append(draft(user, None, "end"))
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert all(isinstance(failure, DatabaseUnavailable) for failure in failures)
    kept = await expect_dense(breakable)
    assert kept[-1] == last
    acknowledged = [outcome for outcome in outcomes if isinstance(outcome, StoredMessage)]
    assert set(acknowledged) <= set(kept)
    assert len(acknowledged) > 10


async def test_a_hanging_database_keeps_neither_callers_nor_the_stop(
    breakable: Database, breakable_mariadb: MariaDB
) -> None:
    [user] = await add_users(breakable, 1)
    async with running_log(breakable) as log:
        await log.append(draft(user))
        breakable_mariadb.pause()
        try:
            waiting = [log.append(draft(user)) for _ in range(3)]
            await asyncio.wait_for(log.close(), 5)
            for each in waiting:
                with pytest.raises(DatabaseUnavailable):
                    await each
        finally:
            breakable_mariadb.resume()
    await expect_dense(breakable)


async def test_a_locked_sqlite_is_unavailable_and_then_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "POOL_WAIT_SECONDS", 0.2)
    url = f"sqlite:///{tmp_path / 'parley.db'}"
    database, other = open_database(url), open_database(url)
    await migrate.upgrade(database)
    [user] = await add_users(database, 1)
    async with running_log(database) as log:
        async with other.write():
            with pytest.raises(DatabaseUnavailable, match="locked"):
                await log.append(draft(user))
        assert (await log.append(draft(user))).id == 1
    assert len(await expect_dense(database)) == 1
    for each in (database, other):
        await each.close()
