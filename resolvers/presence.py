"""Being online, and seeing who is."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from db import users
from db.database import Database, DatabaseUnavailable, retrying_deadlocks
from db.models import StoredUser
from events.facts import PresenceChanged
from resolvers.context import Context


def hold_presence(ctx: Context) -> AbstractContextManager[None]:
    """Count one connection of the viewer's while the block lasts. Raises Unauthenticated."""
    return ctx.presence.hold(ctx.user.id)


def visible_online_ids(ctx: Context) -> list[int]:
    """Return everyone whom the viewer sees online, in order of arrival. Raises Unauthenticated."""
    apart = ctx.blocks.apart_from(ctx.user.id)
    return [user_id for user_id in ctx.presence.online_ids if user_id not in apart]


def is_seen_online(ctx: Context, user_id: int) -> bool:
    """Whether the user is online, as the viewer may know it: nobody is whom a block keeps apart."""
    return ctx.presence.is_online(user_id) and not _are_apart(ctx, user_id)


def last_seen_at(ctx: Context, user: StoredUser) -> datetime | None:
    """Return when the user left, as the viewer may know it; None while they are online."""
    if ctx.presence.is_online(user.id) or _are_apart(ctx, user.id):
        return None
    return user.last_seen_at


def _are_apart(ctx: Context, user_id: int) -> bool:
    return ctx.viewer is not None and ctx.blocks.are_apart(ctx.viewer.id, user_id)


async def watch_presence(ctx: Context) -> AsyncGenerator[Sequence[PresenceChanged], None]:
    """Yield everyone online now, then the changes since: what waits, all at once.

    To a slow reader each user's latest change is all that waits. Raises Unauthenticated.
    """
    with ctx.presence.subscribe(ctx.user.id) as changes:
        yield [PresenceChanged(user_id, online=True) for user_id in visible_online_ids(ctx)]
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
