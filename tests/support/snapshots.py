"""The whole of a database, taken down and put back: tables and rows, without a migration."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, text

from db.engines.database import Database

_CONVERSATIONS = {
    ("conversations", "id"),
    ("members", "conversation_id"),
    ("messages", "conversation_id"),
}
# Made by SQLite itself with the first table that counts its ids, and never dropped.
_COUNTS = "sqlite_sequence"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Each table's name, the statements that make it, and its rows, in the order of their keys."""

    tables: dict[str, tuple[str, ...]]
    rows: dict[str, list[dict[str, Any]]]


async def take(database: Database) -> Snapshot:
    """Take everything down."""
    async with database.write() as connection:
        return await connection.run_sync(_take)


async def restore(database: Database, snapshot: Snapshot) -> None:
    """Put a snapshot in the place of everything."""
    async with database.write() as connection:
        await connection.run_sync(_restore, snapshot)


def comparable(snapshot: Snapshot, since: datetime) -> Snapshot:
    """Return the snapshot without what differs between two runs of the same migrations.

    That is what a migration draws by lot, the moment of its running (`since` or later), the order
    of a table's indexes, and the numbers of conversations: MySQL gives none twice, also where it
    was not kept.
    """
    numbers = [row["id"] for row in snapshot.rows.get("conversations", ())]
    tables = {
        name: tuple(
            line
            for made in statements
            for line in _with_keys_last(re.sub(r" AUTO_INCREMENT=\d+", "", made).splitlines())
        )
        for name, statements in snapshot.tables.items()
    }
    rows = {
        name: [
            {
                column: numbers.index(value)
                if value in numbers and (name, column) in _CONVERSATIONS
                else _same_for_all(column, value, since)
                for column, value in row.items()
            }
            for row in found
        ]
        for name, found in snapshot.rows.items()
    }
    return Snapshot(tables, rows)


def _with_keys_last(lines: list[str]) -> list[str]:
    lines = [line.rstrip(",") for line in lines]
    keys = [line for line in lines if re.match(r"  (UNIQUE )?KEY|  CONSTRAINT", line)]
    return [line for line in lines if line not in keys] + sorted(keys)


def _same_for_all(column: str, value: Any, since: datetime) -> Any:
    if column == "epoch":
        return len(value)
    if isinstance(value, datetime):
        return "lately" if value.replace(tzinfo=UTC) >= since else value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", value):
        return _same_for_all(column, datetime.fromisoformat(value), since)
    return value


def _take(connection: Connection) -> Snapshot:
    read: Callable[[Connection], dict[str, tuple[str, ...]]]
    read = _sqlite_tables if connection.dialect.name == "sqlite" else _mysql_tables
    tables = read(connection)
    rows = {}
    for name in tables:
        found = connection.execute(text(f"SELECT * FROM {name}")).mappings()
        rows[name] = sorted((dict(row) for row in found), key=lambda row: str([*row.values()]))
    if tables.pop(_COUNTS, ()) and not rows[_COUNTS]:
        del rows[_COUNTS]
    return Snapshot(tables, rows)


def _sqlite_tables(connection: Connection) -> dict[str, tuple[str, ...]]:
    tables: dict[str, tuple[str, ...]] = {}
    # A table is there before its indexes are. The indexes of constraints have no statement.
    asked = "SELECT tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name"
    for name, made in connection.execute(text(asked)):
        tables[name] = (*tables.get(name, ()), made)
    return tables


def _mysql_tables(connection: Connection) -> dict[str, tuple[str, ...]]:
    names = connection.execute(text("SHOW TABLES")).scalars().all()
    return {
        name: (connection.execute(text(f"SHOW CREATE TABLE {name}")).one()[1],) for name in names
    }


def _restore(connection: Connection, snapshot: Snapshot) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    # Tables may go and come in any order: SQLite looks at the transaction's end, MySQL not at all.
    connection.exec_driver_sql(
        "PRAGMA defer_foreign_keys = ON" if is_sqlite else "SET foreign_key_checks = 0"
    )
    there = _take(connection)
    kept = {
        name
        for name, made in there.tables.items()
        if (made, there.rows[name]) == (snapshot.tables.get(name), snapshot.rows.get(name))
    }
    for name in there.tables.keys() - kept:
        connection.exec_driver_sql(f"DROP TABLE {name}")
    missing = snapshot.tables.keys() - kept
    for name in missing:
        for statement in snapshot.tables[name]:
            connection.exec_driver_sql(statement)
    for name in missing:
        _insert(connection, name, snapshot.rows[name])
    if is_sqlite and sa.inspect(connection).has_table(_COUNTS):
        # The inserted rows have counted as well.
        connection.exec_driver_sql(f"DELETE FROM {_COUNTS}")
        _insert(connection, _COUNTS, snapshot.rows.get(_COUNTS, []))
    if not is_sqlite:
        connection.exec_driver_sql("SET foreign_key_checks = 1")


def _insert(connection: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        columns: list[sa.ColumnClause[Any]] = [sa.column(column) for column in rows[0]]
        connection.execute(sa.insert(sa.table(table, *columns)), rows)
