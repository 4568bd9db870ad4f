"""Whether this server can do its work."""

from db.database import DatabaseUnavailable
from resolvers.context import Context
from resolvers.errors import Unavailable


async def check_ready(ctx: Context) -> None:
    """Return when the database answers. Raises Unavailable."""
    try:
        await ctx.db.ping()
    except DatabaseUnavailable as error:
        raise Unavailable from error
