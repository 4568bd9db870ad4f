"""Notices: how operations have every process hear of what they have committed.

An operation does its work by `commit`, and in it calls `insert_notice`. Whoever must know listens
to the notice's kind, in every process: `ctx.notices.listen(kind, …)`.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from db import notices
from db.engines.database import Database, DatabaseUnavailable, retrying_deadlocks
from db.models import StoredNotice
from events.bus.bus import Bus
from events.notices import Notices
from resolvers.context import Context
from resolvers.errors import Unavailable

T = TypeVar("T")

# What an operation does in its one transaction; it adds to the list what is to be announced.
Work = Callable[[AsyncConnection, list[StoredNotice]], Awaitable[T]]


def follow_notices(database: Database, bus: Bus) -> Notices[StoredNotice]:
    """Return the follower of this database's notices."""

    async def read_notices(
        after: int, missing: Collection[int], limit: int
    ) -> Sequence[StoredNotice]:
        async with database.read() as connection:
            return await notices.read_notices(connection, after, missing, limit=limit)

    async def read_last() -> int:
        async with database.read() as connection:
            return await notices.last_notice_id(connection)

    return Notices(read_notices=read_notices, read_last=read_last, bus=bus)


async def commit(
    ctx: Context, work: Work[T], *, then: Callable[[T], None] = lambda result: None
) -> T:
    """Do the work in one transaction, anew after a deadlock; `then` announce its notices.

    Raises Unavailable, and what the work raises.
    """
    given: list[StoredNotice] = []

    async def transaction() -> T:
        given.clear()
        async with ctx.db.write() as connection:
            return await work(connection, given)

    try:
        result = await retrying_deadlocks(transaction)
    except DatabaseUnavailable as error:
        raise Unavailable from error
    then(result)
    ctx.notices.announce(given)
    return result
