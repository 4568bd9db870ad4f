"""Being online, and seeing who is."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from db import users
from db.database import Database, retrying_deadlocks
from events.facts import PresenceChanged
from resolvers.context import Context


def hold_presence(ctx: Context) -> AbstractContextManager[None]:
    """Count one connection of the viewer's while the block lasts. Raises Unauthenticated."""
    return ctx.presence.hold(ctx.user.id)


async def watch_presence(ctx: Context) -> AsyncGenerator[Sequence[PresenceChanged], None]:
    """Yield everyone online now, all at once, then each change by itself.

    Raises Unauthenticated, SubscriberTooSlow.
    """
    ctx.user  # noqa: B018  # the door: strangers see nobody
    with ctx.presence.subscribe() as changes:
        yield [PresenceChanged(user_id, online=True) for user_id in ctx.presence.online_ids]
        async for change in changes:
            yield [change]


def record_last_seen(
    database: Database,
) -> Callable[[Collection[int], datetime], Awaitable[None]]:
    """Return what presence calls when users have left."""

    async def record(user_ids: Collection[int], at: datetime) -> None:
        async def write() -> None:
            async with database.write() as connection:
                await users.set_last_seen(connection, user_ids, at)

        await retrying_deadlocks(write)

    return record
