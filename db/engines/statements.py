"""Statements that are run so often that they go straight to the driver.

SQLAlchemy builds each statement once for an engine. Its work on each call, value and row took as
long as all the rest of a page of history. Failures are still raised as SQLAlchemy's errors.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Dialect, insert
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

# Of the texts in one statement, unless one text is longer: servers may take a megabyte at once.
MOST_BYTES = 256 * 1024


class _Compiled(NamedTuple):
    text: str
    names: Sequence[str]  # of its parameters, in the text's order
    fixed: Mapping[str, object]  # parameters that SQLAlchemy adds: SQLite's OFFSET 0


class Statement:
    """A query with named parameters; `build` makes it for a dialect, when it is first run."""

    def __init__(self, build: Callable[[Dialect], Any]) -> None:
        @cache
        def compiled_for(dialect: Dialect) -> _Compiled:
            compiled = build(dialect).compile(dialect=dialect)
            return _Compiled(str(compiled), compiled.positiontup or (), compiled.params)

        self._compiled_for = compiled_for

    async def fetch(
        self, connection: AsyncConnection, values: Mapping[str, object]
    ) -> Sequence[Sequence[Any]]:
        """Return the rows as the driver reads them: SQLite's times are text."""
        text, names, fixed = self._compiled_for(connection.dialect)
        given = [values[name] if name in values else fixed[name] for name in names]
        assert connection.sync_connection is not None  # noqa: S101  # it was lent
        driver: Any = connection.sync_connection.connection.driver_connection
        try:
            return await ask_driver(driver, text, given)
        except BaseException as error:
            # Half of an answer may still arrive, also after a cancelled call: nobody may use this
            # connection afterwards.
            await connection.invalidate(error)
            if not isinstance(error, Exception):
                raise
            raise as_told(connection.dialect, text, error) from error


async def insert_row(
    connection: AsyncConnection, table: type[SQLModel], values: Mapping[str, object]
) -> int:
    """Insert a row, and return the id that the database has given it. Raises IntegrityError."""
    inserted = await connection.execute(insert(table).values(values))
    key = inserted.inserted_primary_key
    assert key is not None  # noqa: S101  # an INSERT of one row always has one
    return int(key[0])


async def insert_many(
    connection: AsyncConnection,
    table: str,
    names: Sequence[str],
    rows: Sequence[Sequence[int | str | datetime | None]],
) -> None:
    """Insert rows, past SQLAlchemy's work on each value: texts are parameters, all else is not.

    Statements are divided so that each is far below what a database takes.
    """
    mark = mark_of(connection.dialect)
    values: list[str] = []
    texts: list[str] = []
    size = 0
    for row in rows:
        parts = []
        for value in row:
            if isinstance(value, str):
                texts.append(value)
                size += 4 * len(value)  # at most so many bytes
                parts.append(mark)
            else:
                parts.append(written(value))
        values.append(f"({','.join(parts)})")
        if size > MOST_BYTES:
            await _insert(connection, table, names, values, texts)
            values, texts, size = [], [], 0
    if values:
        await _insert(connection, table, names, values, texts)


async def _insert(
    connection: AsyncConnection,
    table: str,
    names: Sequence[str],
    values: Sequence[str],
    texts: Sequence[str],
) -> None:
    head = f"INSERT INTO {table} ({', '.join(names)}) VALUES "  # noqa: S608  # nosec B608  # no name is a user's
    await connection.exec_driver_sql(head + ",".join(values), tuple(texts))


def mark_of(dialect: Dialect) -> str:
    """Return what stands for a parameter in a statement for the driver."""
    return "?" if dialect.name == "sqlite" else "%s"


def written(value: int | datetime | bytes | None) -> str:
    """Return a value as both engines read it in a statement's text."""
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return f"'{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"
    return f"X'{value.hex()}'" if isinstance(value, bytes) else f"{value:d}"


async def ask_driver(driver: Any, text: str, given: Sequence[object]) -> Sequence[Sequence[Any]]:
    """Return a statement's rows from a connection of aiosqlite's or asyncmy's own."""
    if hasattr(driver, "execute_fetchall"):
        return [*await driver.execute_fetchall(text, given)]  # one turn of its thread, not three
    cursor = driver.cursor()
    await cursor.execute(text, given)
    rows: Sequence[Sequence[Any]] = await cursor.fetchall()
    return rows


def as_told(dialect: Dialect, text: str, error: Exception) -> Exception:
    """Return a driver's error as SQLAlchemy raises it for a connection that is lost."""
    if not isinstance(error, dialect.loaded_dbapi.Error):  # how a driver says that it was closed
        return InterfaceError(text, None, error, connection_invalidated=True)
    told: Any = DBAPIError.instance(
        text, None, error, dialect.loaded_dbapi.Error, connection_invalidated=True, dialect=dialect
    )
    return told  # type: ignore[no-any-return]
