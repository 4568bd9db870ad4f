"""Statements that are run so often that they go straight to the driver.

SQLAlchemy builds each statement once for an engine. Its work on each call, value and row took as
long as all the rest of a page of history. Failures are still raised as SQLAlchemy's errors.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from time import perf_counter
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Dialect, bindparam, insert
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from db.engines.statement_times import times_of

# Texts of these characters alone are written in a statement as they are: on each engine they mean
# themselves. Facts are such. The driver takes as long to escape the quotes of one as for a message.
_is_plain = re.compile(r'[\w {}\[\]":,.@!?()=+-]*', re.ASCII).fullmatch
MOST_PLAIN = 200  # characters
LIST_SIZES = (1, 10, 60, 200)  # of ids that are looked up at once
ROWS_AT_ONCE = 5000  # of numbers
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
        return await fetch(connection, text, given)


def in_list(column: Any, size: int) -> ColumnElement[bool]:
    """Whether a column has one of the `size` ids that are parameters, as `lists_of` gives them."""
    found: ColumnElement[bool] = column.in_(
        [bindparam(f"id{place}", type_=BigInteger) for place in range(size)]
    )
    return found


def lists_of(ids: Collection[int]) -> Iterator[tuple[int, dict[str, int]]]:
    """Divide ids into lists of LIST_SIZES; yield for each its size, and its parameters.

    A list that is too short names its last id again. So few statements serve lists of any length.
    """
    rest = [*ids]
    while rest:
        some, rest = rest[: LIST_SIZES[-1]], rest[LIST_SIZES[-1] :]
        size = next(size for size in LIST_SIZES if size >= len(some))
        some += [some[-1]] * (size - len(some))
        yield size, {f"id{place}": id_ for place, id_ in enumerate(some)}


async def fetch(
    connection: AsyncConnection, text: str, given: Sequence[object]
) -> Sequence[Sequence[Any]]:
    """Return the rows of a query as the driver reads them."""
    assert connection.sync_connection is not None  # noqa: S101  # it was lent
    driver: Any = connection.sync_connection.connection.driver_connection
    times, began_at = times_of(connection), perf_counter()
    try:
        return await ask_driver(driver, text, given)
    except BaseException as error:
        # Half of an answer may still arrive, also after a cancelled call: nobody may use this
        # connection afterwards.
        await connection.invalidate(error)
        if not isinstance(error, Exception):
            raise
        raise as_told(connection.dialect, text, error) from error
    finally:
        times.add(text, began_at)


async def insert_row(
    connection: AsyncConnection, table: type[SQLModel], values: Mapping[str, object]
) -> int:
    """Insert a row, and return the id that the database has given it. Raises IntegrityError."""
    inserted = await connection.execute(insert(table).values(values))
    key = inserted.inserted_primary_key
    assert key is not None  # noqa: S101  # an INSERT of one row always has one
    return int(key[0])


Value = int | str | bytes | datetime | None


async def insert_many(
    connection: AsyncConnection,
    table: str,
    names: Sequence[str],
    rows: Iterable[Sequence[Value]],
    *,
    replacing: Sequence[str] = (),
) -> None:
    """Insert rows, past SQLAlchemy's work on each value: texts that are not plain are parameters.

    With `replacing`, a row whose primary key is there already is kept, and takes these columns of
    the new one. An UPDATE that says a value for each row would look through all values for each.
    Statements are divided so that each is far below what a database takes.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    end = ""
    if replacing:
        taken = "{0} = excluded.{0}" if is_sqlite else "{0} = VALUES({0})"
        upon = "ON CONFLICT DO UPDATE SET" if is_sqlite else "ON DUPLICATE KEY UPDATE"
        end = f" {upon} {', '.join(map(taken.format, replacing))}"
    head = f"INSERT INTO {table} ({', '.join(names)}) VALUES "  # noqa: S608  # nosec B608  # no name is a user's
    mark = mark_of(connection.dialect)
    values: list[str] = []
    texts: list[str] = []
    size = 0
    form = f"({','.join(['%s'] * len(names))})"
    for row in rows:
        parts = [*row]
        for place in _no_numbers(tuple(map(type, row))):
            value = row[place]
            if not isinstance(value, str):
                parts[place] = written(value)
            elif len(value) <= MOST_PLAIN and _is_plain(value):
                parts[place] = f"'{value}'"
                size += len(value)
            else:
                parts[place] = mark
                texts.append(value)
                size += 4 * len(value)  # at most so many bytes
        values.append(form % tuple(parts))
        if size > MOST_BYTES:
            await connection.exec_driver_sql(f"{head}{','.join(values)}{end}", tuple(texts))
            values, texts, size = [], [], 0
    if values:
        await connection.exec_driver_sql(f"{head}{','.join(values)}{end}", tuple(texts))


@cache
def _no_numbers(types: tuple[type, ...]) -> Sequence[int]:
    """Return the places of the values that are no numbers."""
    return [place for place, type_ in enumerate(types) if type_ is not int]


async def insert_numbers(
    connection: AsyncConnection, table: str, names: Sequence[str], rows: Sequence[tuple[int, ...]]
) -> None:
    """Insert rows of nothing but numbers, of which there may be many."""
    form = f"({','.join(['%d'] * len(names))})"
    for start in range(0, len(rows), ROWS_AT_ONCE):
        values = ",".join(map(form.__mod__, rows[start : start + ROWS_AT_ONCE]))
        text = f"INSERT INTO {table} ({', '.join(names)}) VALUES {values}"  # noqa: S608  # nosec B608  # numbers
        await connection.exec_driver_sql(text)


async def rows_by_key(
    connection: AsyncConnection,
    table: str,
    names: Sequence[str],
    keys: Iterable[Sequence[int | str]],
    *,
    wanted: Sequence[str] = (),
) -> Sequence[Sequence[Any]]:
    """Return what is `wanted` of the rows with these keys, the first columns of the primary key.

    Past SQLAlchemy's work on each value. Each key is one look-up: where there are other indexes,
    MariaDB compares every row that it finds with every key, unless it is told which to use.
    """
    where, given = _by_key(connection.dialect, table, names, keys)
    if not where:
        return ()
    text = f"SELECT {', '.join(wanted or names)} FROM {where}"  # noqa: S608  # nosec B608  # our own names
    return await fetch(connection, text, given)


async def delete_by_key(
    connection: AsyncConnection,
    table: str,
    names: Sequence[str],
    keys: Iterable[Sequence[int | str]],
) -> None:
    """Delete the rows with these keys, in the same way."""
    where, given = _by_key(connection.dialect, table, names, keys)
    if where:
        rows = "" if connection.dialect.name == "sqlite" else f"{table} "
        await connection.exec_driver_sql(f"DELETE {rows}FROM {where}", given)  # nosec B608  # our own names


def _by_key(
    dialect: Dialect, table: str, names: Sequence[str], keys: Iterable[Sequence[int | str]]
) -> tuple[str, tuple[str, ...]]:
    """Return the table with a condition, and its parameters; an empty text for no keys."""
    mark = mark_of(dialect)
    texts: list[str] = []
    tuples = []
    for key in keys:
        texts += [part for part in key if isinstance(part, str)]
        parts = [mark if isinstance(part, str) else f"{part:d}" for part in key]
        tuples.append(f"({','.join(parts)})")
    if not tuples:
        return "", ()
    columns, found = ",".join(names), ",".join(tuples)
    if dialect.name == "sqlite":
        return f"{table} WHERE ({columns}) IN (VALUES {found})", tuple(texts)
    return f"{table} FORCE INDEX (PRIMARY) WHERE ({columns}) IN ({found})", tuple(texts)


def mark_of(dialect: Dialect) -> str:
    """Return what stands for a parameter in a statement for the driver."""
    return "?" if dialect.name == "sqlite" else "%s"


def written(value: int | datetime | bytes | None) -> str:
    """Return a value as both engines read it in a statement's text."""
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return _moment(value)
    return f"X'{value.hex()}'" if isinstance(value, bytes) else f"{value:d}"


@lru_cache(maxsize=16)  # all rows of a batch have the same
def _moment(value: datetime) -> str:
    return f"'{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"


async def ask_driver(driver: Any, text: str, given: Sequence[object]) -> Sequence[Sequence[Any]]:
    """Return a statement's rows from a connection of aiosqlite's or asyncmy's own."""
    if hasattr(driver, "execute_fetchall"):
        return [*await driver.execute_fetchall(text, given)]  # one turn of its thread, not three
    cursor = driver.cursor()
    # With parameters, if only an empty sequence, it prepares the text for later calls.
    await cursor.execute(text, given or None)
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
