"""Whether this server can do its work."""

import asyncio
import logging

from db.engines.database import DatabaseUnavailable
from resolvers.context import Context
from resolvers.errors import as_unavailable

logger = logging.getLogger("parley.db")

# How soon a server without callers notices that its database has changed roles.
WATCH_SECONDS = 5.0


async def check_ready(ctx: Context) -> None:
    """Return when the database answers and takes changes. Raises Unavailable."""
    with as_unavailable():
        await ctx.db.check_writable()


async def watch_database(ctx: Context) -> None:
    """Look at the database for ever: connections to one that has moved are given up."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        try:
            await ctx.db.check_writable()
        except DatabaseUnavailable:
            pass  # the log has been told
        except Exception:
            logger.exception("Could not look at the database")
