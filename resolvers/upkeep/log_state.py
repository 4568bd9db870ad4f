"""The state that all processes share beside the log's entries: its epoch, and BROADCAST."""

import logging
import secrets
from functools import partial

from db import facts
from db.log.changes.broadcast import SetBroadcasters
from resolvers.background import start_retried
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.errors import Unavailable

logger = logging.getLogger("parley.log")


async def load_epoch(ctx: Context) -> None:
    """Take over the epoch that is stored. Raises DatabaseUnavailable."""
    async with ctx.db.read() as connection:
        ctx.control.epoch, _ = await facts.read_cursor(connection)


def follow_losses(ctx: Context) -> None:
    """Have the log get another epoch whenever it has lost positions: once, at the start."""

    def renew() -> None:
        start_retried(
            partial(_renew_epoch, ctx, ctx.control.epoch),
            name="epoch",
            logger=logger,
            failure="The log's epoch could not be renewed",
        )

    ctx.control.on_loss(renew)


async def _renew_epoch(ctx: Context, known: str) -> None:
    """Replace the known epoch, unless another process has replaced it first.

    Who may write to everybody is read again, since a change of it may be among the lost positions.
    """
    async with ctx.db.write() as connection:
        await facts.change_epoch(connection, known, secrets.token_hex(16))
        ctx.control.epoch, _ = await facts.read_cursor(connection)
        ctx.log.broadcasters = await facts.read_broadcasters(connection)


async def settle_broadcasters(ctx: Context) -> None:
    """Have all processes use the BROADCAST of this one: the one that starts last decides.

    A fact says so: no process stores anything after it by the older value.
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
