"""Being online, and seeing who is."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from db import users
from db.database import Database, DatabaseUnavailable, retrying_deadlocks
from events.facts import PresenceChanged
from resolvers.context import Context


def hold_presence(ctx: Context) -> AbstractContextManager[None]:
    """Count one connection of the viewer's while the block lasts. Raises Unauthenticated."""
    return ctx.presence.hold(ctx.user.id)


async def watch_presence(ctx: Context) -> AsyncGenerator[Sequence[PresenceChanged], None]:
    """Yield everyone online now, then the changes since: what waits, all at once.

    To a slow reader each user's latest change is all that waits. Raises Unauthenticated.
    """
    ctx.user  # noqa: B018  # the door: strangers see nobody
    with ctx.presence.subscribe() as changes:
        yield [PresenceChanged(user_id, online=True) for user_id in ctx.presence.online_ids]
        async for latest in changes:
            yield latest


def record_last_seen(
    database: Database,
) -> Callable[[Collection[int], datetime], Awaitable[None]]:
    """Return what presence calls when users have left. That raises ConnectionError."""

    async def record(user_ids: Collection[int], at: datetime) -> None:
        async def write() -> None:
            async with database.write() as connection:
                await users.set_last_seen(connection, user_ids, at)

        try:
            await retrying_deadlocks(write)
        except DatabaseUnavailable as error:
            raise ConnectionError(str(error)) from error

    return record
