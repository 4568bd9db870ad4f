"""BROADCAST, who may write to everybody: one value for all processes of a database."""

import logging

from db.facts import read_broadcasters
from db.log.changes.broadcast import SetBroadcasters
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.errors import Unavailable

logger = logging.getLogger("parley.log")


async def settle_broadcasters(ctx: Context) -> None:
    """Have all processes go by this one's setting: the one that starts last decides.

    A fact says so: nothing that another process stores after it goes by the older value.
    """
    wanted = ctx.settings.broadcast
    try:
        async with ctx.read() as connection:
            if await read_broadcasters(connection) == wanted:
                return
        if await commit(ctx, SetBroadcasters(wanted)) is not None:
            logger.info("BROADCAST is %s from now on, in every process", wanted)
    except Unavailable as error:  # it takes no changes for now
        logger.warning("Only this process goes by BROADCAST=%s: %r", wanted, error.__cause__)
