"""What processes agree on beside the log's entries: its epoch, and BROADCAST."""

import asyncio
import logging
import secrets

from db import facts
from db.engines.database import DatabaseUnavailable
from db.log.changes.broadcast import SetBroadcasters
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.errors import Unavailable

logger = logging.getLogger("parley.log")

RETRY_SECONDS = 0.5


async def load_epoch(ctx: Context) -> None:
    """Take over the epoch that is stored. Raises DatabaseUnavailable."""
    async with ctx.db.read() as connection:
        ctx.control.epoch, _ = await facts.read_cursor(connection)


def follow_losses(ctx: Context) -> None:
    """Have the log get another epoch whenever it has lost positions: once, at the start."""
    renewing: set[asyncio.Task[None]] = set()

    def renew() -> None:
        task = asyncio.create_task(_renew(ctx), name="epoch")
        renewing.add(task)
        task.add_done_callback(renewing.discard)

    ctx.control.on_loss(renew)


async def _renew(ctx: Context) -> None:
    """Of the processes that notice a loss one makes the new epoch; the others take it over.

    Who may write to everybody is read again, since the loss may have taken back a change of it.
    """
    known = ctx.control.epoch
    while True:
        try:
            async with ctx.db.write() as connection:
                await facts.change_epoch(connection, known, secrets.token_hex(16))
                ctx.control.epoch, _ = await facts.read_cursor(connection)
                ctx.log.broadcasters = await facts.read_broadcasters(connection)
            return
        except DatabaseUnavailable as error:
            logger.warning("The log's epoch could not be renewed; trying again (%r)", error)
            await asyncio.sleep(RETRY_SECONDS)


async def settle_broadcasters(ctx: Context) -> None:
    """Have all processes go by this one's setting: the one that starts last decides.

    A fact says so: nothing that another process stores after it goes by the older value.
    """
    wanted = ctx.settings.broadcast
    try:
        async with ctx.read() as connection:
            if await facts.read_broadcasters(connection) == wanted:
                return
        if await commit(ctx, SetBroadcasters(wanted)) is not None:
            logger.info("BROADCAST is %s from now on, in every process", wanted)
    except Unavailable as error:  # it takes no changes for now
        logger.warning("Only this process goes by BROADCAST=%s: %r", wanted, error.__cause__)
