"""What a database is and lets us do, for `main.py check`. Changes nothing that is in it."""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import migrate
from db.engines.mysql import check_version, mysql_engine
from db.engines.older import check_moved, check_not_foreign
from db.engines.troubles import DatabaseUnsuitable, judge, mysql_code

CONNECT_SECONDS = 5
POOL_WAIT_SECONDS = 5
ANSWER_SECONDS = 10
LOCKED_SECONDS = 2.0
ER_BAD_DB = 1049
# The user lacks a right: on a database, on a table, for an administrator's statement.
ER_DENIED = frozenset({1044, 1142, 1227, 1370})
VARIABLES = (
    "max_allowed_packet",
    "max_connections",
    "read_only",
    "innodb_flush_log_at_trx_commit",
    "log_bin",
    "sync_binlog",
    "character_set_database",
)
EMOJI = "🙂"
# What the migrations and the server do to tables, each as one statement on the probe's table.
RIGHTS = (
    ("ALTER", "ALTER TABLE {table} ADD COLUMN more BIGINT"),
    ("INDEX", "CREATE INDEX more ON {table} (more)"),
    ("REFERENCES", "ALTER TABLE {table} ADD FOREIGN KEY (more) REFERENCES {table} (id)"),
    ("INSERT", "INSERT INTO {table} (id, note) VALUES (1, '🙂')"),
    ("UPDATE", "UPDATE {table} SET more = NULL WHERE id = 1"),
    ("SELECT", "SELECT note FROM {table}"),
    ("DELETE", "DELETE FROM {table}"),
)


class DatabaseAway(Exception):
    """The database cannot be reached or used; `code` is its number of the error, if it has one."""

    def __init__(self, words: str, code: int | None = None) -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, slots=True)
class Tables:
    """Which version the tables are of (None: there are none), and why they cannot be used."""

    version: str | None = None
    unsuitable: str | None = None


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a MySQL or MariaDB server says of itself and of the database."""

    name: str
    version: str
    variables: dict[str, str]
    clock_ahead_seconds: float
    is_encrypted: bool
    tables: Tables
    missing_rights: tuple[str, ...]
    keeps_emoji: bool


@dataclass(frozen=True, slots=True)
class FileState:
    """What a file of SQLite is."""

    version: str
    tables: Tables
    is_locked: bool


def newest_version() -> str:
    """Return the version of the tables that this code makes."""
    return migrate.versions()[-1]


def examine_file(path: Path) -> FileState | None:
    """Return what the file is; None where there is none yet. Blocks. Raises DatabaseAway."""
    if not path.exists():
        return None
    engine = create_engine("sqlite://", poolclass=NullPool, creator=lambda: _open_existing(path))
    try:
        with engine.connect() as connection:
            tables = _look_at_tables(connection)
            return FileState(sqlite3.sqlite_version, tables, _is_locked(connection))
    except (DBAPIError, sqlite3.Error) as error:
        trouble = judge(error, is_sqlite=True)
        raise DatabaseAway(trouble.words if trouble else str(error)) from error


def _open_existing(path: Path) -> sqlite3.Connection:
    name = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(
        f"file:{name}?mode=rw", uri=True, timeout=LOCKED_SECONDS, isolation_level=None
    )


def _is_locked(connection: Connection) -> bool:
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except DBAPIError as error:
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return True
    connection.exec_driver_sql("ROLLBACK")
    return False


async def examine_server(url: URL) -> ServerState | None:
    """Return what the server and our database are; None where there is no such database.

    Makes a table of its own, which it removes again. Raises DatabaseAway, DatabaseUnsuitable.
    """
    engine = _engine(url)
    try:
        async with _connected(engine) as connection:
            name = "MariaDB" if getattr(connection.dialect, "is_mariadb", False) else "MySQL"
            variables = await _read_variables(connection)
            missing, keeps_emoji = await _try_rights(connection)
            return ServerState(
                name=name,
                version=".".join(map(str, connection.dialect.server_version_info or ())),
                variables=variables,
                clock_ahead_seconds=await _clock_ahead(connection),
                is_encrypted=await _is_encrypted(connection),
                tables=await connection.run_sync(_look_at_tables),
                missing_rights=missing,
                keeps_emoji=keeps_emoji,
            )
    except (DBAPIError, OSError) as error:
        code = mysql_code(error)
        if code == ER_BAD_DB:
            return None
        raise _away(error) from error
    finally:
        await engine.dispose()


async def may_create(url: URL) -> bool:
    """Whether the server's start could make the database, which is missing. Raises DatabaseAway."""
    engine = _engine(url.set(database=""))
    try:
        async with _connected(engine) as connection:
            grants = await connection.exec_driver_sql("SHOW GRANTS FOR CURRENT_USER")
            return any(_grants_creation(str(row[0]), url.database or "") for row in grants)
    except (DBAPIError, OSError) as error:
        raise _away(error) from error
    finally:
        await engine.dispose()


def _grants_creation(grant: str, database: str) -> bool:
    rights, _, rest = grant.upper().removeprefix("GRANT ").partition(" ON ")
    place = rest.partition(".")[0].strip().strip("`").replace("\\", "")
    is_ours = place == "*" or place == database.upper()
    words = {word.strip() for word in rights.split(",")}
    return is_ours and bool(words & {"ALL PRIVILEGES", "CREATE"})


def _engine(url: URL) -> AsyncEngine:
    wait, connect = POOL_WAIT_SECONDS, CONNECT_SECONDS
    return mysql_engine(url, pool_size=1, writes=False, wait_seconds=wait, connect_seconds=connect)


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Lend a connection. What takes a connection and then says nothing is soon given up."""
    async with asyncio.timeout(CONNECT_SECONDS) as patience, engine.connect() as connection:
        patience.reschedule(asyncio.get_running_loop().time() + ANSWER_SECONDS)
        yield connection


def _away(error: Exception) -> DatabaseAway:
    trouble = judge(error, is_sqlite=False)
    return DatabaseAway(trouble.words if trouble else type(error).__name__, mysql_code(error))


async def _read_variables(connection: AsyncConnection) -> dict[str, str]:
    names = ", ".join(f"'{name}'" for name in VARIABLES)
    rows = await connection.exec_driver_sql(f"SHOW VARIABLES WHERE Variable_name IN ({names})")
    return {str(row.Variable_name).lower(): str(row.Value) for row in rows}


async def _clock_ahead(connection: AsyncConnection) -> float:
    before = time.time()
    theirs = (await connection.execute(text("SELECT UTC_TIMESTAMP(6)"))).scalar()
    ours = (before + time.time()) / 2
    if not isinstance(theirs, datetime):
        return 0.0
    return theirs.replace(tzinfo=UTC).timestamp() - ours


async def _is_encrypted(connection: AsyncConnection) -> bool:
    row = (await connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Ssl_cipher'")).first()
    return row is not None and bool(row.Value)


def _look_at_tables(connection: Connection) -> Tables:
    try:
        check_not_foreign(connection)
        check_moved(connection)
        if connection.dialect.name != "sqlite":
            check_version(connection)
        return Tables(migrate.version_of(connection))
    except DatabaseUnsuitable as error:
        return Tables(unsuitable=str(error))


async def _try_rights(connection: AsyncConnection) -> tuple[tuple[str, ...], bool]:
    """Return the rights that our user lacks, and whether an emoji came back as it was stored.

    What a user may do is tried: roles, proxies and read-only servers make grants tell too little.
    """
    table = f"parley_check_{secrets.token_hex(6)}"
    made = (
        f"CREATE TABLE {table} (id BIGINT PRIMARY KEY, note VARCHAR(20))"
        " ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    )
    if await _try(connection, made) is None:
        return ("CREATE",), True
    missing, told = [], [EMOJI]
    try:
        for right, statement in RIGHTS:
            rows = await _try(connection, statement.format(table=table))
            if rows is None:
                missing.append(right)
            elif right == "SELECT" and "INSERT" not in missing:
                told = rows
    finally:
        if await _try(connection, f"DROP TABLE {table}") is None:
            missing.append("DROP")
    return tuple(missing), told == [EMOJI]


async def _try(connection: AsyncConnection, statement: str) -> list[Any] | None:
    """Return the first column of what the statement gives; None where our user may not run it."""
    try:
        result = await connection.exec_driver_sql(statement)
    except DBAPIError as error:
        if mysql_code(error) in ER_DENIED:
            return None
        raise
    return [*result.scalars()] if result.returns_rows else []
