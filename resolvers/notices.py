"""Notices: how operations have every process hear of what they have committed.

An operation calls `insert_notice` in its transaction, and `ctx.notices.announce` after the commit.
Whoever must know listens to the notice's kind, in every process: `ctx.notices.listen(kind, …)`.
"""

from collections.abc import Collection, Sequence

from db import notices
from db.database import Database
from db.models import StoredNotice
from events.bus import Bus
from events.notices import Notices


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
