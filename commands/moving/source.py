"""The older server's database: which tables it has, and their rows in pages. Nothing is written."""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    TableClause,
    column,
    event,
    func,
    inspect,
    literal_column,
    select,
    table,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from commands.moving.names import TABLES, TableUnusable, find_columns, find_table
from db.engines.database import DatabaseUnsuitable
from db.engines.mysql import mysql_engine

logger = logging.getLogger("parley.import")

CONNECT_SECONDS = 10
# Longer texts are cut as they are read: what is so long is left out, or cut, anyway.
MOST_CHARACTERS = {"email": 1100, "password": 300, "name": 500, "content": 65_536, "file": 2_100}  # nosec B105  # no password
# A connection whose reader is slow for longer is not closed meanwhile.
IDLE_SECONDS = 3600


class SourceTable(NamedTuple):
    """One of the two tables, and the column of each role."""

    role: str  # "users" or "messages"
    name: str
    columns: Mapping[str, str]


def open_url(written: str) -> URL:
    """Return the address of the older server's database. Raises DatabaseUnsuitable."""
    try:
        url = make_url(written)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise DatabaseUnsuitable(
            "--from is no address of a database: mysql://user:password@host/name, or sqlite:///file."
            " In the password, write @ as %40, / as %2F, ? as %3F and % as %25"
        ) from error
    if backend in {"mysql", "mariadb"} and url.host and url.database:
        return url.set(drivername="mysql+asyncmy")
    if backend == "sqlite" and url.database:
        path = Path(url.database)
        if not path.is_file():
            raise DatabaseUnsuitable(f"--from: there is no file {path}")
        return url.set(drivername="sqlite+aiosqlite", database=str(path.resolve()), query={})
    raise DatabaseUnsuitable("--from must name a database: mysql://…/name, or sqlite:///file")


def told(url: URL) -> str:
    """Return the address without its user and password: what the target remembers."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    return f"mysql://{url.host}:{url.port or 3306}/{url.database}"


class Source:
    """The database at an address, as it is while it is read."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._engine = _sqlite(url) if self.is_sqlite else _mysql(url)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection. Raises DatabaseUnsuitable where the database cannot be read."""
        with _reading():
            connection = await self._engine.connect()
        try:
            if not self.is_sqlite:
                with _reading():
                    # TIMESTAMP columns are shown in the session's zone.
                    await connection.execute(text("SET time_zone = '+00:00'"))
                    await connection.execute(text(f"SET SESSION wait_timeout = {IDLE_SECONDS:d}"))
            yield connection
        finally:
            await connection.close()

    async def find_tables(self) -> list[SourceTable]:
        """Return the tables of users and of messages. Raises TableUnusable, and as `connect`."""
        async with self.connect() as connection:
            with _reading():
                return await connection.run_sync(self._find_tables)

    def _find_tables(self, connection: Connection) -> list[SourceTable]:
        inspector = inspect(connection)
        names, views = inspector.get_table_names(), inspector.get_view_names()
        if "log_head" in names and "alembic_version" in names:
            raise TableUnusable("This is a database of Parley's, not of the older server")
        found = []
        for role in TABLES:
            name = find_table(role, names, views)
            types = {known["name"]: known["type"] for known in inspector.get_columns(name)}
            columns = find_columns(role, name, [*types])
            id_ = columns["id"]
            if not isinstance(types[id_], Integer):
                raise TableUnusable(
                    f"The column {id_} of {name} is {types[id_]}: ids must be whole numbers"
                )
            if not _is_unique(inspector, name, id_):
                raise TableUnusable(
                    f"The column {id_} of {name} is not unique: make it the primary key first"
                )
            found.append(SourceTable(role, name, columns))
        return found

    async def count(self, connection: AsyncConnection, source: SourceTable) -> tuple[int, int]:
        """Return how many rows there are to read, and how many have an id that is no number."""
        rows = select(func.count()).select_from(_table(source))
        with _reading():
            every = int((await connection.execute(rows)).scalar_one())
            read = int((await connection.execute(rows.where(self._has_id(source)))).scalar_one())
        return read, every - read

    def _has_id(self, source: SourceTable) -> ColumnElement[bool]:
        """Whether a row's id is a number: SQLite's columns hold anything."""
        id_: ColumnElement[Any] = column(source.columns["id"])
        return func.typeof(id_) == "integer" if self.is_sqlite else id_.is_not(None)

    async def page(
        self, connection: AsyncConnection, source: SourceTable, after: int | None, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return up to `limit` rows with ids past `after`, in order, by the roles of columns."""
        # A literal column: no value is changed by what SQLAlchemy thinks of its type.
        id_: Any = column(source.columns["id"])
        query = (
            select(*(_read(role, name).label(role) for role, name in source.columns.items()))
            .select_from(_table(source))
            .where(self._has_id(source))
            .order_by(id_)
            .limit(limit)
        )
        if after is not None:
            query = query.where(id_ > literal_column(f"{after:d}"))
        with _reading():
            return [dict(row) for row in (await connection.execute(query)).mappings()]


@contextmanager
def _reading() -> Iterator[None]:
    """Name what is wrong with the older database; the target's troubles are others."""
    try:
        yield
    except (DBAPIError, OSError) as error:
        told_by = error.orig if isinstance(error, DBAPIError) else error
        raise DatabaseUnsuitable(f"--from cannot be read: {told_by}") from error


def _table(source: SourceTable) -> TableClause:
    return table(source.name, *(column(name) for name in source.columns.values()))


def _read(role: str, name: str) -> Any:
    if role in MOST_CHARACTERS:
        return func.substr(column(name), 1, MOST_CHARACTERS[role] + 1)
    return column(name)


def _is_unique(inspector: Any, name: str, id_: str) -> bool:
    if inspector.get_pk_constraint(name)["constrained_columns"] == [id_]:
        return True
    alone = [
        known["column_names"] for known in inspector.get_indexes(name) if known.get("unique")
    ] + [known["column_names"] for known in inspector.get_unique_constraints(name)]
    return [id_] in alone


def _mysql(url: URL) -> AsyncEngine:
    return mysql_engine(
        url,
        pool_size=1,
        writes=False,
        wait_seconds=CONNECT_SECONDS,
        connect_seconds=CONNECT_SECONDS,
    )


def _sqlite(url: URL) -> AsyncEngine:
    # Read-only: the older server's file stays as it is.
    file = f"file:{quote(url.database or '')}?mode=ro"
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{file}&uri=true", connect_args={"timeout": CONNECT_SECONDS}
    )

    @event.listens_for(engine.sync_engine, "connect")
    def read_any_text(connection: Any, record: Any) -> None:
        connection.driver_connection.text_factory = _text

    return engine


def _text(raw: bytes) -> str | bytes:
    """Return a text; bytes that are not UTF-8 stay bytes, for the report to name their row."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
