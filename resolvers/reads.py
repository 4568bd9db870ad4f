"""Reads of the log that see what this process has announced, wherever the database reads."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from db import messages
from db.engines.database import DatabaseUnavailable
from db.groups.leaving import as_left
from db.models import StoredMessage
from db.people import contacts
from events.facts import Fact, MembersChanged
from resolvers.background import start_retried
from resolvers.context import Context
from resolvers.errors import Unavailable, as_unavailable
from resolvers.guards.directory import MOST_CONTACTS

logger = logging.getLogger("parley.directory")

# How long a read waits for a replica, or a cluster's node, that is behind. Then it is refused: an
# answer must not lack messages that the caller has heard of already.
LAG_SECONDS = 20.0
LOOK_SECONDS = 0.1


@asynccontextmanager
async def reading_log(ctx: Context, upto: int | None = None) -> AsyncIterator[AsyncConnection]:
    """Lend a connection that sees the log up to this position, or to all announced here.

    Where a replica lags, the connection is to the primary; where that lags too, this waits. Raises
    Unavailable.
    """
    wanted = ctx.feed.position if upto is None else upto
    deadline = asyncio.get_running_loop().time() + LAG_SECONDS
    with as_unavailable():
        async with AsyncExitStack() as stack:
            connection = await _connection_at(ctx, stack, wanted)
            while connection is None:
                # If the log has lost its tail, the feed's position falls and the wait ends.
                ctx.feed.catch_up()
                if asyncio.get_running_loop().time() > deadline:
                    raise Unavailable
                await asyncio.sleep(LOOK_SECONDS)
                connection = await _connection_at(ctx, stack, min(wanted, ctx.feed.position))
            yield connection


@asynccontextmanager
async def reading_history(ctx: Context, upto: int | None = None) -> AsyncIterator[AsyncConnection]:
    """As `reading_log`, from a replica where one sees all of it.

    Without `upto` that is all that is committed by now, in any process: nobody reads what is older
    than what they have seen. Raises Unavailable.
    """
    if not ctx.replicas:
        async with reading_log(ctx, upto) as connection:
            yield connection
        return
    with as_unavailable():
        wanted = ctx.feed.position if upto is None else upto
        if upto is None:
            # While the database is away: all that was announced here.
            wanted = max(wanted, await ctx.replicas.head() or 0)
        async with AsyncExitStack() as stack:
            reading = ctx.replicas.reading(ctx.control.epoch, wanted)
            lent: AsyncConnection | None = await stack.enter_async_context(reading)
            if lent is None:
                lent = await stack.enter_async_context(reading_log(ctx, upto))
            yield lent


async def _connection_at(
    ctx: Context, stack: AsyncExitStack, wanted: int
) -> AsyncConnection | None:
    """Return a connection that sees the position, while the stack lasts; None where none does."""
    if ctx.db.is_sqlite or wanted <= ctx.feed.reads_reach:
        return await stack.enter_async_context(ctx.db.read())
    connection = await stack.enter_async_context(ctx.db.read())
    head = await messages.head_position(connection)
    ctx.feed.reads_reach = max(ctx.feed.reads_reach, min(head, ctx.feed.position))
    if head >= wanted:
        return connection
    await stack.aclose()
    try:
        async with AsyncExitStack() as writing:
            connection = await writing.enter_async_context(ctx.db.read_written())
            if await messages.head_position(connection) >= wanted:
                stack.push_async_exit(writing.pop_all())
                return connection
    except DatabaseUnavailable:
        pass  # the primary is away for now, which the log reports
    return None


async def know_contacts(ctx: Context, user_id: int) -> None:
    """Load the user's contacts into the directory, unless they are there or do not matter.

    Raises Unavailable.
    """
    await ctx.directory.ready(user_id, partial(reading_log, ctx))


async def know_groups(ctx: Context, user_id: int) -> None:
    """Read in which groups the user is, unless that is known or the caller's wire shows none.

    Raises Unavailable.
    """
    if ctx.shows_groups:
        await ctx.memberships.ready(user_id)


def follow_groups(ctx: Context) -> None:
    """Have the directory follow who joins and leaves groups, in the log's order: once."""
    if ctx.directory.shows != "contacts":
        return
    waiting: deque[tuple[int, MembersChanged]] = deque()
    working = False

    def apply(fact: Fact, changed: MembersChanged) -> None:
        nonlocal working
        if changed.joined or changed.left:
            waiting.append((fact.id, changed))
            if not working:
                working = True
                start_retried(
                    work, name="contacts", logger=logger, failure="Contacts could not be read"
                )

    async def work() -> None:
        nonlocal working
        while waiting:
            position, changed = waiting[0]
            try:
                await _change_contacts(ctx, position, changed)
            except Unavailable:
                raise  # it is tried again
            except Exception:
                logger.exception("Contacts could not be changed")
            waiting.popleft()
        working = False

    ctx.control.listen(MembersChanged, apply)


async def _change_contacts(ctx: Context, position: int, changed: MembersChanged) -> None:
    async with reading_log(ctx, position) as connection:
        members = await contacts.members_of(connection, changed.conversation_id)
        left = {
            id_: await contacts.contact_ids(connection, id_, limit=MOST_CONTACTS)
            | await contacts.group_mates(connection, id_, limit=MOST_CONTACTS)
            for id_ in changed.left
        }
    # Who has left since is told apart by a later fact.
    await ctx.directory.join(members | {*changed.joined}, changed.joined)
    for user_id, known in left.items():
        ctx.directory.leave_group(user_id, known)


E = TypeVar("E", StoredMessage, StoredMessage | Fact)


async def as_viewer_left(ctx: Context, entries: Sequence[E]) -> Sequence[E]:
    """Return entries from memory as the viewer sees them, who may have left groups since.

    Raises Unauthenticated, Unavailable.
    """
    viewer = ctx.user
    stays = (ctx.shows_groups and ctx.memberships.stays_of(viewer.id)) or {}
    if all(stay.left_position is None for stay in stays.values()):
        return entries
    async with reading_log(ctx) as connection:
        return await as_left(connection, viewer.id, entries)


async def is_in_log(ctx: Context, position: int) -> bool:
    """Whether the log has come so far. Raises Unavailable."""
    async with ctx.read() as connection:
        if await messages.head_position(connection) >= position:
            return True
    with as_unavailable():
        async with ctx.db.read_written() as connection:
            return await messages.head_position(connection) >= position
