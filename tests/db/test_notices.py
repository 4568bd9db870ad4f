"""Notices in the database: in the caller's transaction, read past an id, pruned, none missed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from db import migrate, notices
from db.engines.database import Database
from db.models import NoticeKind, StoredNotice
from events.bus.bus import LoneBus
from resolvers.notices import follow_notices
from tests.db.rows import NOW, open_database
from tests.support.inbox import Inbox
from tests.support.mariadb import MariaDB


async def _give(database: Database, user_id: int) -> StoredNotice:
    async with database.write() as connection:
        return await notices.insert_notice(connection, NoticeKind.USER_CHANGED, user_id)


async def _read(database: Database, after: int, *missing: int) -> list[int]:
    async with database.read() as connection:
        found = await notices.read_notices(connection, after, missing, limit=100)
    return [notice.user_id for notice in found]


@asynccontextmanager
async def _following(database: Database) -> AsyncIterator[Inbox[StoredNotice]]:
    follower = follow_notices(database, LoneBus())
    heard: Inbox[StoredNotice] = Inbox()
    follower.listen(NoticeKind.USER_CHANGED, heard.put)
    await follower.start()
    yield heard
    await follower.close()


async def test_a_notice_comes_back_as_it_was_given(database: Database) -> None:
    async with database.write() as connection:
        given = await notices.insert_notice(connection, NoticeKind.SESSION_RENEWED, 7, 2**62, NOW)
    async with database.read() as connection:
        assert await notices.read_notices(connection, given.id - 1, limit=10) == [given]
        assert await notices.last_notice_id(connection) == given.id


async def test_a_notice_of_a_transaction_that_failed_is_none(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as connection:
            await notices.insert_notice(connection, NoticeKind.USER_CHANGED, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await _read(database, 0) == []


async def test_only_what_is_past_an_id_or_asked_for_is_read(database: Database) -> None:
    given = [await _give(database, user_id) for user_id in (1, 2, 3, 4)]
    assert await _read(database, given[1].id) == [3, 4]
    assert await _read(database, given[2].id, given[0].id, 10**6) == [1, 4]


async def test_old_notices_are_pruned_but_never_the_last(database: Database) -> None:
    given = [await _give(database, user_id) for user_id in (1, 2, 3)]
    async with database.write() as connection:
        await connection.execute(text("UPDATE notices SET created_at = '2020-01-01 00:00:00'"))
    await _give(database, 4)
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    async with database.write() as connection:
        await notices.prune_notices(connection, hour_ago)
    assert await _read(database, 0) == [4]
    async with database.write() as connection:
        await notices.prune_notices(connection, datetime.now(UTC) + timedelta(days=1))
    assert await _read(database, 0) == [4]
    assert (await _give(database, 5)).id > given[-1].id


@pytest.fixture
async def concurrent(mariadb: MariaDB) -> AsyncIterator[Database]:
    """A database in which two transactions can write at once."""
    database = open_database(mariadb.url("notices"))
    await migrate.upgrade(database)
    yield database
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM notices"))
    await database.close()


async def test_a_lower_number_that_commits_later_is_heard(concurrent: Database) -> None:
    async with _following(concurrent) as heard:
        async with concurrent.write() as slow:
            lower = await notices.insert_notice(slow, NoticeKind.USER_CHANGED, 1)
            higher = await _give(concurrent, 2)
            assert lower.id < higher.id
            await heard.expect(lambda notice: notice == higher)
            assert heard.items == [higher]
        await heard.expect(lambda notice: notice == lower)
        last = await _give(concurrent, 3)
        await heard.expect(lambda notice: notice == last)
    assert heard.items == [higher, lower, last]


async def test_one_that_was_under_way_at_the_start_is_heard(concurrent: Database) -> None:
    await _give(concurrent, 9)
    async with concurrent.write() as slow:
        lower = await notices.insert_notice(slow, NoticeKind.USER_CHANGED, 1)
        await _give(concurrent, 2)
        following = _following(concurrent)
        heard = await following.__aenter__()
    await heard.expect(lambda notice: notice == lower)
    assert heard.items == [lower]
    await following.__aexit__(None, None, None)
