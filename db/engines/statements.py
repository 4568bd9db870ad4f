"""Statements that are run so often that they go straight to the driver.

SQLAlchemy builds each statement once for an engine. Its work on each call, value and row took as
long as all the rest of a page of history. Failures are still raised as SQLAlchemy's errors.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Dialect, insert
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel


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
