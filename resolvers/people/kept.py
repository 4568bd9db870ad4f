"""What of people is kept in memory: loaded at the start, and again when the log has lost facts."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.database import Database
from events.control import Control
from resolvers.background import start_retried
from resolvers.guards.kept_set import K, KeptSet

logger = logging.getLogger("parley.people")

PAGE = 5000

# Reads up to so many of what is stored, past a key, in order.
ReadPage = Callable[[AsyncConnection, K, int], Awaitable[Sequence[K]]]


async def load_all(
    database: Database, kept: KeptSet[K], read_page: ReadPage[K], *, before_all: K
) -> None:
    """Load all that is stored; `before_all` is a key before every other.

    A fact that is applied meanwhile is later than the rows that are read, and prevails. Raises
    DatabaseUnavailable.
    """
    with kept.loading() as found:
        after, page = before_all, PAGE
        while page == PAGE:
            # Where it is written: a replica could lack what the feed has handed out.
            async with database.read_written() as connection:
                read = await read_page(connection, after, PAGE)
            found.update(read)
            after, page = read[-1] if read else after, len(read)


def reload_on_loss(
    control: Control, load: Callable[[], Awaitable[None]], *, name: str, what: str
) -> None:
    """Have `load` run again when the log has lost facts."""
    failure = f"{what} could not be read again"
    control.on_loss(partial(start_retried, load, name=name, logger=logger, failure=failure))
