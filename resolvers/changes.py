"""Changes: how an operation has the log store something, and what it raises where that fails."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar, overload

from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.database import DatabaseUnavailable, retrying_deadlocks
from db.log.changes.change import AccountEnded, Change, Refused
from db.log.changes.sessions import OpensSession
from db.log.drafts import LogFull
from db.messages import head_position
from events.facts import Fact
from resolvers.context import Context
from resolvers.errors import RateLimited, Unauthenticated, Unavailable, as_unavailable

T = TypeVar("T")


@asynccontextmanager
async def writing_log(ctx: Context) -> AsyncIterator[None]:
    """Have the log take changes while the block lasts: for a command, which follows nothing.

    Raises DatabaseUnavailable.
    """
    async with ctx.db.read() as connection:
        ctx.control.hand_over_early((), await head_position(connection))
    ctx.log.start()
    try:
        yield
    finally:
        await ctx.log.close()


@overload
async def commit(  # type: ignore[overload-overlap]  # an id is given in the fact's place
    ctx: Context, change: OpensSession, *, first: Callable[[int], None] | None = None
) -> int: ...


@overload
async def commit(
    ctx: Context, change: Change, *, first: Callable[[Fact | None], None] | None = None
) -> Fact | None: ...


async def commit(
    ctx: Context, change: Change, *, first: Callable[[Any], None] | None = None
) -> Any:
    """Have the log store a change; return its fact, None where it was so already.

    A change that opens a session gives the session's id instead. When this returns, this process
    has applied the fact. `first` is called with the same before anybody hears of it. Raises
    RateLimited, Unavailable, Unauthenticated where its author's account has ended, and the change's
    own reasons for a refusal.
    """
    try:
        return await ctx.log.append(change, first)
    except LogFull as error:
        raise RateLimited("Too many changes are waiting; try again", retry_after_ms=1000) from error
    except AccountEnded as error:
        raise Unauthenticated("Invalid token") from error
    except DatabaseUnavailable as error:
        raise Unavailable from error


class _EndsOthers(Exception):
    """The session takes the place of older ones, and that they end is a fact."""


async def open_session(ctx: Context, change: OpensSession) -> int:
    """Open a session, and return its id.

    This happens beside the log, for which messages wait, unless older sessions end: other processes
    must hear of that. Raises as `commit`.
    """

    async def open_beside(connection: AsyncConnection) -> int:
        (outcome,) = await change.write(connection, [change], datetime.now(UTC))
        if isinstance(outcome, Refused):
            raise outcome
        if outcome is None or outcome.body is not None or outcome.answer is None:
            raise _EndsOthers  # and the transaction is rolled back
        return int(outcome.answer)

    try:
        return await write_again(ctx, open_beside)
    except _EndsOthers:
        return await commit(ctx, change)


async def write_again(ctx: Context, change: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Make a change that is no fact in a transaction, again when a deadlock ended it.

    Raises Unavailable.
    """

    async def transaction() -> T:
        # The context's own would hide that it was a deadlock.
        async with ctx.db.write() as connection:
            return await change(connection)

    with as_unavailable():
        return await retrying_deadlocks(transaction)
