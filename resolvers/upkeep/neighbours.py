"""Neighbours: other servers that store messages in the same database."""

import asyncio
import logging
from contextlib import suppress

from db import messages
from db.engines.database import Database, DatabaseUnavailable
from events.bus.bus import Bus

logger = logging.getLogger("parley.main")

# How often a process looks at the log's head unasked: an announcement may have been lost, or the
# log may have lost its tail.
POLL_SECONDS = 0.5
# The same, where others store and their announcements do not arrive.
POLL_SECONDS_UNHEARD = 0.2


class Neighbours:
    """Whether there are any, and how often to look for what they store.

    `bus` is None where the server has no REDIS_URL: its neighbours' announcements do not arrive.
    """

    def __init__(self, database: Database, bus: Bus | None) -> None:
        self._database = database
        self._bus = bus
        self._noticed = False
        self._looking: asyncio.Task[None] | None = None

    def notice(self) -> None:
        """Know that there are some; without REDIS_URL, warn of it once."""
        if not self._noticed and self._bus is None:
            logger.warning(
                "Another server stores messages in this database: give both the same REDIS_URL."
                " Without it, each polls for the other's messages, and neither sees who is online"
                " at the other"
            )
        self._noticed = True

    def look(self, first: int, last: int) -> None:
        """Look whether the positions from `first` to `last`, which are others', hold a message.

        The command line stores facts too, and is no server.
        """
        if not self._noticed and self._looking is None:
            self._looking = asyncio.create_task(self._look(first, last), name="neighbours")

    async def _look(self, first: int, last: int) -> None:
        with suppress(DatabaseUnavailable):
            async with self._database.read() as connection:
                if await messages.read_entries(connection, first - 1, last, 1):
                    self.notice()
        self._looking = None

    def poll_seconds(self) -> float:
        """Return how long after the last look the log's head is looked at unasked."""
        unheard = self._noticed if self._bus is None else not self._bus.connected
        return POLL_SECONDS_UNHEARD if unheard else POLL_SECONDS
