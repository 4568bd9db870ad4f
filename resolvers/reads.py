"""Reads of the log that see what this process has announced, wherever the database reads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from db import messages
from db.engines.database import DatabaseUnavailable
from resolvers.context import Context
from resolvers.errors import Unavailable

# How long a read waits for a replica, or a cluster's node, that is behind: then it is refused, for
# an answer without what the caller has heard of already would be a wrong one.
LAG_SECONDS = 20.0
LOOK_SECONDS = 0.1


@asynccontextmanager
async def reading_log(ctx: Context, upto: int | None = None) -> AsyncIterator[AsyncConnection]:
    """Lend a connection that sees the log up to this position, or what was announced here.

    Reads where it is written when a plain read lags; waits when that lags too. Raises Unavailable.
    """
    wanted = ctx.feed.position if upto is None else upto
    deadline = asyncio.get_running_loop().time() + LAG_SECONDS
    try:
        async with AsyncExitStack() as stack:
            connection = await _connection_at(ctx, stack, wanted)
            while connection is None:
                # Unless the log has lost its tail: then there is nothing to wait for.
                ctx.feed.catch_up()
                if asyncio.get_running_loop().time() > deadline:
                    raise Unavailable
                await asyncio.sleep(LOOK_SECONDS)
                connection = await _connection_at(ctx, stack, min(wanted, ctx.feed.position))
            yield connection
    except DatabaseUnavailable as error:
        raise Unavailable from error


async def _connection_at(
    ctx: Context, stack: AsyncExitStack, wanted: int
) -> AsyncConnection | None:
    """Return a connection that sees so far, for as long as the stack lasts; None for none."""
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
        pass  # it takes no changes for now, and the log says so
    return None


async def know_contacts(ctx: Context, user_id: int) -> None:
    """Have this process know whom the user may find, if DIRECTORY asks for it. Raises Unavailable.

    Nothing is asked of the database for one who is known.
    """
    await ctx.directory.ready(user_id, partial(reading_log, ctx))


async def is_in_log(ctx: Context, position: int) -> bool:
    """Whether the log has come so far. Raises Unavailable."""
    async with ctx.read() as connection:
        if await messages.head_position(connection) >= position:
            return True
    try:
        async with ctx.db.read_written() as connection:
            return await messages.head_position(connection) >= position
    except DatabaseUnavailable as error:
        raise Unavailable from error
