"""Reads of the log that see what this process has announced, wherever the database reads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from db import messages
from db.engines.database import DatabaseUnavailable
from resolvers.context import Context
from resolvers.errors import Unavailable, as_unavailable

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


async def is_in_log(ctx: Context, position: int) -> bool:
    """Whether the log has come so far. Raises Unavailable."""
    async with ctx.read() as connection:
        if await messages.head_position(connection) >= position:
            return True
    with as_unavailable():
        async with ctx.db.read_written() as connection:
            return await messages.head_position(connection) >= position
