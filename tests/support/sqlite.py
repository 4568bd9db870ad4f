"""Somebody else who uses the server's SQLite file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def outsider(path: Path | str, **options: Any) -> Iterator[sqlite3.Connection]:
    """Open the file; commit at the end, or roll back, and close: sqlite3's own `with` leaves it."""
    with closing(sqlite3.connect(path, **options)) as connection, connection:
        yield connection
