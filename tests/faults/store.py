"""What the database holds, read past Parley."""

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.ledger import Row
from tests.faults.mixed.logged import StoredFact
from tests.support.mariadb import MariaDB

ROWS = (
    "SELECT id, sender_id, receiver_id, client_message_id, content, conversation_id,"
    " deleted_at IS NOT NULL FROM messages ORDER BY id"
)
FACTS = "SELECT position, kind, COALESCE(actor_id, 0), body, audience FROM log ORDER BY position"
HEAD = "SELECT position FROM log_head"


class Store(ABC):
    """A database of a scenario's own."""

    url: str

    @abstractmethod
    def rows(self) -> list[Row]:
        """Every message, in order."""

    @abstractmethod
    def facts(self) -> list[StoredFact]:
        """Every other fact, in order."""

    @abstractmethod
    def head(self) -> int:
        """The log's last position."""


class MariaDBStore(Store):
    """On the tests' MariaDB."""

    def __init__(self, server: MariaDB, name: str) -> None:
        self.server = server
        self.url = server.url(name)
        self.name = name

    def rows(self) -> list[Row]:
        """As Store."""
        return [
            Row(
                int(row[0]),
                int(row[1]),
                None if row[2] == "NULL" else int(row[2]),
                row[3],
                row[4],
                int(row[5]),
                row[6] == "1",
            )
            for row in self.server.execute(ROWS, self.name)
        ]

    def facts(self) -> list[StoredFact]:
        """As Store."""
        return [_fact(row) for row in self.server.execute(FACTS, self.name)]

    def head(self) -> int:
        """As Store."""
        return int(self.server.execute(HEAD, self.name)[0][0])


class SQLiteStore(Store):
    """A file."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self._path = path

    def rows(self) -> list[Row]:
        """As Store."""
        return [Row(*row) for row in self._read(ROWS)]

    def facts(self) -> list[StoredFact]:
        """As Store."""
        return [_fact(row) for row in self._read(FACTS)]

    def head(self) -> int:
        """As Store."""
        return int(self._read(HEAD)[0][0])

    def _read(self, sql: str) -> list[Any]:
        connection = sqlite3.connect(self._path)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


def _fact(row: Sequence[Any]) -> StoredFact:
    position, kind, actor_id, body, audience = row
    return StoredFact(int(position), kind, int(actor_id), json.loads(body), json.loads(audience))
