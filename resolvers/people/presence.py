"""Being online, and seeing who is."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from datetime import datetime
from functools import partial

from db.engines.database import Database, DatabaseUnavailable, retrying_deadlocks
from db.log.changes.blocks import UnknownUser
from db.log.changes.presence import SetInvisible
from db.models import StoredUser
from db.people import users
from events.control import Control
from events.facts import AccountChanged, Fact, OwnSettingsChanged, PresenceChanged
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.errors import BadInput, Unauthenticated
from resolvers.guards.invisible import Invisible
from resolvers.guards.validation import find_id
from resolvers.people.kept import load_all, reload_on_loss
from resolvers.reads import know_contacts

# How many users one subscription may name; a subscription without names watches all.
MAX_WATCHED_USERS = 1000


def visible_online_ids(ctx: Context) -> list[int]:
    """Return the users that the viewer sees online, in order of arrival. Raises Unauthenticated."""
    return [change.user_id for change in ctx.presence.snapshot(ctx.user.id)]


def is_seen_online(ctx: Context, user_id: int) -> bool:
    """Whether the viewer sees the user online: not if a block or DIRECTORY hides the user."""
    if ctx.viewer is not None and ctx.viewer.id == user_id:
        return ctx.presence.is_here(user_id)
    return ctx.presence.is_online(user_id) and _sees(ctx, user_id)


def last_seen_at(ctx: Context, user: StoredUser) -> datetime | None:
    """Return when the user left; None while they are online, and where they are hidden."""
    if ctx.presence.is_online(user.id) or not _sees(ctx, user.id):
        return None
    return user.last_seen_at


def _sees(ctx: Context, user_id: int) -> bool:
    return ctx.viewer is None or ctx.presence.sees(ctx.viewer.id, user_id)


async def watch_presence(
    ctx: Context, user_ids: Sequence[str] | None = None
) -> AsyncGenerator[Sequence[PresenceChanged], None]:
    """Yield the users who are online now, then batches of changes.

    `user_ids` names the only users to watch; unknown and hidden ones are passed over. For a slow
    reader only the latest change of each user waits. Raises Unauthenticated, BadInput.
    """
    viewer, only = ctx.user, None
    if user_ids is not None:
        if len(user_ids) > MAX_WATCHED_USERS:
            raise BadInput(f"userIds names {MAX_WATCHED_USERS:,} users at most")
        only = {id_ for text in user_ids if (id_ := find_id(text)) is not None}
    await know_contacts(ctx, viewer.id)
    with ctx.presence.watch(viewer.id, only) as changes:
        yield ctx.presence.snapshot(viewer.id, only)
        async for latest in changes:
            yield latest


async def set_invisible(ctx: Context, invisible: bool) -> None:
    """Show the viewer offline to everybody else, in every process; or as they are again.

    Raises Unauthenticated, RateLimited, Unavailable.
    """
    viewer = ctx.user
    await ctx.limits.count_profile_change(viewer.id)
    was_online = ctx.presence.is_online(viewer.id)
    try:
        await commit(ctx, SetInvisible(viewer.id, invisible, was_online))
    except UnknownUser as error:
        raise Unauthenticated("Invalid token") from error


async def load_invisible(database: Database, invisible: Invisible) -> None:
    """Load all who are stored as invisible. Raises DatabaseUnavailable."""
    await load_all(database, invisible, users.page_invisible, before_all=0)


def follow_invisible(control: Control, database: Database, invisible: Invisible) -> None:
    """Have those who are invisible follow the log: once, at the start."""

    def apply(fact: Fact, changed: OwnSettingsChanged) -> None:
        if fact.actor_id is not None and changed.invisible is not None:
            invisible.put(fact.actor_id, changed.invisible, fact.created_at)

    def forget(fact: Fact, changed: AccountChanged) -> None:
        if fact.actor_id is not None and changed.deleted:
            invisible.forget(fact.actor_id)

    control.listen(OwnSettingsChanged, apply)
    control.listen(AccountChanged, forget)
    load = partial(load_invisible, database, invisible)
    reload_on_loss(control, load, name="invisible", what="Who is invisible")


def record_last_seen(
    database: Database,
) -> Callable[[Collection[int], datetime], Awaitable[None]]:
    """Return the call that stores when users left. It raises ConnectionError."""

    async def record(user_ids: Collection[int], at: datetime) -> None:
        async def write() -> None:
            async with database.write() as connection:
                await users.set_last_seen(connection, user_ids, at)

        try:
            await retrying_deadlocks(write)
        except DatabaseUnavailable as error:
            raise ConnectionError(str(error)) from error

    return record
