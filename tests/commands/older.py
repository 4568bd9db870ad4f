"""Databases as the older Node.js server left them, on both engines."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.mariadb import MariaDB

# bcrypt of "123456" at the lowest cost, as Python marks its own; Node's begin with $2a$ or $2b$.
HASH = "$2b$04$abcdefghijklmnopqrstuuFwMibPVIyV1/Vdxb3PVZCmM4bYxIada"
USERS = (
    "CREATE TABLE users (id INTEGER PRIMARY KEY, email VARCHAR(255), password VARCHAR(255),"
    " display_name VARCHAR(255), created_at DATETIME)"
)
MESSAGES = (
    "CREATE TABLE messages (id INTEGER PRIMARY KEY, sender_id INTEGER, receiver_id INTEGER,"
    " content {text}, created_at DATETIME)"
)
MOMENT = "2020-02-03 04:05:06"


class Older:
    """One older database."""

    def __init__(self, engine: str, request: pytest.FixtureRequest, directory: Path) -> None:
        self._path = directory / "chat_app.db"
        self._server: MariaDB | None = None
        self.is_sqlite = engine == "sqlite"
        if self.is_sqlite:
            self._path.touch()
        else:
            self._server = request.getfixturevalue("mariadb")
            self._name = f"chat_app_{abs(hash(str(directory))):x}"
            self._server.execute(f"CREATE DATABASE {self._name} CHARACTER SET latin1")

    @property
    def url(self) -> str:
        """The address, as people write it."""
        if self._server is None:
            return f"sqlite:///{self._path}"
        return self._server.url(self._name).replace("+asyncmy", "")

    def run(self, *statements: str) -> None:
        """Run statements."""
        if self._server is not None:
            self._server.execute(";\n".join(statements), self._name)
            return
        with closing(sqlite3.connect(self._path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def tables(self) -> set[str]:
        """Return the names of its tables."""
        if self._server is not None:
            return {name for [name] in self._server.execute("SHOW TABLES", self._name)}
        with closing(sqlite3.connect(self._path)) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {name for (name,) in names}

    def make(self, *, text: str = "TEXT") -> None:
        """Make the two tables as the older server does."""
        collation = "" if self.is_sqlite else " CHARACTER SET utf8mb4"
        self.run(USERS + collation, MESSAGES.format(text=text) + collation)

    def insert(self, table: str, *rows: Sequence[Any]) -> None:
        """Insert rows with a value for each column."""
        for start in range(0, len(rows), 500):
            values = ",".join(
                f"({','.join(map(self._written, row))})" for row in rows[start : start + 500]
            )
            self.run(f"INSERT INTO {table} VALUES {values}")

    def _written(self, value: Any) -> str:
        if value is None:
            return "NULL"
        if isinstance(value, bytes):
            # Text with these bytes, whatever they are.
            return f"CAST(X'{value.hex()}' AS TEXT)" if self.is_sqlite else f"X'{value.hex()}'"
        if isinstance(value, str):
            written = self._written(value.encode())
            return written if self.is_sqlite else f"CONVERT({written} USING utf8mb4)"
        return str(value)


def person(id_: int, email: str = "", hashed: str = HASH, name: str = "") -> tuple[Any, ...]:
    """A row of users."""
    return id_, email or f"user{id_}@example.com", hashed, name or f"User {id_}", MOMENT


def chat(people: int, messages: int) -> list[tuple[Any, ...]]:
    """Rows of messages between some people, each tenth for everybody."""
    return [
        (
            id_,
            id_ % people + 1,
            None if id_ % 10 == 0 else (id_ * 7) % people + 1,
            f"message {id_}",
            MOMENT,
        )
        for id_ in range(1, messages + 1)
    ]
