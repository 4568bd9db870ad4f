"""What the feed reads of the log: how far it goes, and its entries in order."""

from db import facts, messages
from db.engines.database import Database
from db.models import StoredMessage
from events.facts import Fact


class LogReader:
    """Reads the log, each time on a connection of the moment. All raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_head(self) -> int:
        """Return the last position; a replica may lag behind it."""
        async with self._database.read() as connection:
            return await messages.head_position(connection)

    async def read_entries(self, after: int, upto: int, limit: int) -> list[StoredMessage | Fact]:
        """Return the entries with after < position <= upto, at most `limit` of them."""
        async with self._database.read() as connection:
            return await facts.read_log(connection, after, upto, limit)

    async def read_written(self, after: int, limit: int) -> tuple[int, list[StoredMessage | Fact]]:
        """Return the head and the entries past `after` from where they are written: no lag."""
        async with self._database.read_written() as connection:
            head = await messages.head_position(connection)
            return head, await facts.read_log(connection, after, head, limit) if limit else []
