"""What the database holds, read past Parley."""

import sqlite3
from abc import ABC, abstractmethod
from pathlib import Path

from tests.faults.ledger import Row
from tests.support.mariadb import MariaDB

ROWS = "SELECT id, sender_id, receiver_id, client_message_id, content FROM messages ORDER BY id"
HEAD = "SELECT position FROM log_head"


class Store(ABC):
    """A database of a scenario's own."""

    url: str

    @abstractmethod
    def rows(self) -> list[Row]:
        """Every message, in order."""

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
            Row(int(id_), int(sender), None if receiver == "NULL" else int(receiver), key, content)
            for id_, sender, receiver, key, content in self.server.execute(ROWS, self.name)
        ]

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

    def head(self) -> int:
        """As Store."""
        return int(self._read(HEAD)[0][0])

    def _read(self, sql: str) -> list[tuple[int, int, int | None, str, str]]:
        connection = sqlite3.connect(self._path)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()
