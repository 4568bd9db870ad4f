"""Connections to SQLite, MySQL or MariaDB: one pool that reads, one that writes."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from db.private import DirectoryUnusable, open_database_file
from db.sqlite import sqlite_engine
from db.warm import Warm, ping_the_rested

logger = logging.getLogger("parley.db")

T = TypeVar("T")

OLDEST_MYSQL = (8, 0)
OLDEST_MARIADB = (10, 6)
# How long a caller waits for a free connection before it is told that the database is unavailable.
POOL_WAIT_SECONDS = 10
CONNECT_SECONDS = 5
# How long a database that hangs may keep a caller: far longer than any statement of ours takes.
ANSWER_SECONDS = 30
# Statements that a reading connection keeps prepared, the last ones used: a page's is read and
# planned in as long as it is run. MySQL has room for 16,382 of all its clients together.
PREPARED = 32
DEADLOCK_TRIES = 5
ER_DBACCESS_DENIED = 1044
ER_WRONG_DATABASE_NAME = 1102
ER_LOCK_DEADLOCK = 1213
ER_ACCESS_DENIED_FOR_CREATE = 1227


class DatabaseUnavailable(Exception):
    """The database does not answer; nothing is wrong with the call."""


class Deadlocked(DatabaseUnavailable):
    """The database ended this transaction so that another could go on; it may be tried again."""


class DatabaseUnsuitable(Exception):
    """The database answers but cannot serve us; the text says what to change."""


class Database:
    """`read` and `write` lend connections of the two pools; `close` ends both."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = make_url(url)
        self._turns = asyncio.Semaphore(pool_size)  # first come, first served
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            # SQLite has one writer at a time; more would only wait for its lock.
            wait = POOL_WAIT_SECONDS
            self._reads = sqlite_engine(
                self.url, pool_size=pool_size, wait_seconds=wait, writes=False
            )
            self._writes = sqlite_engine(self.url, pool_size=1, wait_seconds=wait, writes=True)
        else:
            self._reads = _mysql_engine(self.url, pool_size=pool_size, writes=False)
            # One more, which the log keeps for its batches: all others have their number still.
            self._writes = _mysql_engine(self.url, pool_size=pool_size + 1, writes=True)
        self._readers = Warm(self._reads)
        self._writers = Warm(self._writes)

    @asynccontextmanager
    async def read(self, *, seconds: float = ANSWER_SECONDS) -> AsyncIterator[AsyncConnection]:
        """Lend a connection whose statements see what is committed. Raises DatabaseUnavailable."""
        with _naming_unavailability():
            async with asyncio.timeout(seconds):
                await self._take_turn()
                try:
                    async with _lent(self._readers) as connection:
                        yield connection
                finally:
                    self._turns.release()

    @asynccontextmanager
    async def write(
        self, *, seconds: float | None = ANSWER_SECONDS
    ) -> AsyncIterator[AsyncConnection]:
        """Lend a connection in a transaction, committed at the end. Raises DatabaseUnavailable."""
        with _naming_unavailability():
            async with asyncio.timeout(seconds), self._writes.begin() as connection:
                yield connection

    @asynccontextmanager
    async def write_whole(self) -> AsyncIterator[AsyncConnection]:
        """Lend one of MySQL's connections for transactions that are sent whole, with their COMMIT.

        Whoever borrows it leaves no transaction open, or invalidates it. Raises
        DatabaseUnavailable.
        """
        with _naming_unavailability():
            async with asyncio.timeout(ANSWER_SECONDS), _lent(self._writers) as connection:
                yield connection

    async def _take_turn(self) -> None:
        # The pool lets whoever asks first after a return have the connection, and that is often
        # who returned it: others waited for a quarter of a second.
        if self._turns.locked():
            async with asyncio.timeout(POOL_WAIT_SECONDS):
                await self._turns.acquire()
        else:
            await self._turns.acquire()  # at once

    async def ping(self) -> None:
        """Ask the database for nothing. Raises DatabaseUnavailable."""
        async with self.read(seconds=CONNECT_SECONDS) as connection:
            await connection.execute(text("SELECT 1"))

    async def prepare(self) -> None:
        """Make the database when it is missing and we may.

        Raises DatabaseUnsuitable, DatabaseUnavailable.
        """
        if self.is_sqlite:
            try:
                await asyncio.to_thread(open_database_file, Path(self.url.database or ""))
            except DirectoryUnusable as error:
                raise DatabaseUnsuitable(str(error)) from error
            with _naming_unavailability():
                await self._write_ahead()
            return
        await _create_mysql_database(self.url)
        async with self.read() as connection:
            await connection.run_sync(_check_mysql_version)

    async def _write_ahead(self) -> None:
        # So that readers go on while one writes; the file remembers it. SQLite does not wait for
        # other processes here, as it does elsewhere: they may be starting too.
        deadline = asyncio.get_running_loop().time() + POOL_WAIT_SECONDS
        while True:
            try:
                async with self._reads.connect() as connection:
                    await connection.execute(text("PRAGMA journal_mode = WAL"))
                return
            except OperationalError as error:
                if "locked" not in str(error) or asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Close every connection."""
        await self._readers.cool()
        await self._writers.cool()
        await self._reads.dispose()
        await self._writes.dispose()


@asynccontextmanager
async def _lent(warm: Warm) -> AsyncIterator[AsyncConnection]:
    connection = await warm.take()
    try:
        yield connection
    except BaseException:
        await warm.drop(connection)
        raise
    warm.keep(connection)


async def retrying_deadlocks(transaction: Callable[[], Awaitable[T]]) -> T:
    """Await `transaction()`, and again when a deadlock ended it. Raises what it raises."""
    for _ in range(DEADLOCK_TRIES - 1):
        try:
            return await transaction()
        except Deadlocked:
            logger.info("A deadlock ended a transaction; trying again")
    return await transaction()


class _naming_unavailability:  # reads as a with-statement's verb
    """Turns a driver's many ways to say "gone" into DatabaseUnavailable."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, PoolTimeout | OSError):
            raise DatabaseUnavailable(str(error) or "no answer in time") from error
        if isinstance(error, IntegrityError):
            return
        if _mysql_code(error) == ER_LOCK_DEADLOCK:
            raise Deadlocked(str(error)) from error
        if isinstance(error, OperationalError | InterfaceError) or (
            isinstance(error, DBAPIError) and error.connection_invalidated
        ):
            raise DatabaseUnavailable(str(error.orig)) from error


def _mysql_engine(url: URL, *, pool_size: int, writes: bool) -> AsyncEngine:
    engine = create_async_engine(
        url.set(query={}),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        # READ COMMITTED: what is read after the log's row lock is what was committed before it.
        isolation_level="READ COMMITTED" if writes else "AUTOCOMMIT",
        skip_autocommit_rollback=True,
        # `begin` has committed or rolled back, and closes what it could not.
        pool_reset_on_return=None,
        connect_args={
            "charset": "utf8mb4",
            "ssl": _tls(url),
            "connect_timeout": CONNECT_SECONDS,
            # Too long or malformed values are errors whatever the server's configuration says.
            "init_command": "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
            "stmt_cache_size": 0 if writes else PREPARED,
        },
    )
    ping_the_rested(engine)
    return engine


def _tls(url: URL) -> ssl.SSLContext | None:
    """Return what the URL's parameters say of TLS, in MySQL's words or PostgreSQL's."""
    mode = "disabled"
    for name, value in url.query.items():
        if name.lower().replace("_", "-") in {"ssl-mode", "sslmode", "ssl"}:
            mode = str(value).lower().replace("_", "-")
        elif name != "charset":  # it is utf8mb4, whatever they say
            raise DatabaseUnsuitable(f"DATABASE_URL has a parameter that is not known: {name}")
    if mode in {"disabled", "disable", "false", "0"}:
        return None
    context = ssl.create_default_context()
    if mode not in {"verify-identity", "verify-full"}:
        context.check_hostname = False
    if mode in {"required", "require", "true", "1"}:
        context.verify_mode = ssl.CERT_NONE
    elif mode not in {"verify-ca", "verify-identity", "verify-full"}:
        raise DatabaseUnsuitable(f"DATABASE_URL's {mode!r} is no way to use TLS that is known")
    return context


async def _create_mysql_database(url: URL) -> None:
    name = url.database or ""
    engine = _mysql_engine(url.set(database=""), pool_size=1, writes=False)
    quoted = engine.dialect.identifier_preparer.quote_identifier(name)
    try:
        with _naming_unavailability():
            async with asyncio.timeout(CONNECT_SECONDS), engine.connect() as connection:
                await connection.exec_driver_sql(
                    f"CREATE DATABASE IF NOT EXISTS {quoted}"
                    " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
                )
    except DatabaseUnavailable as error:
        code = _mysql_code(error.__cause__)
        if code not in {ER_DBACCESS_DENIED, ER_ACCESS_DENIED_FOR_CREATE}:
            raise
        # The user may not create databases: fine when somebody else has made this one.
        logger.info("May not create databases; using %s as it is", name)
    except ProgrammingError as error:
        if _mysql_code(error) != ER_WRONG_DATABASE_NAME:
            raise
        raise DatabaseUnsuitable(f"{name!r} cannot be the name of a database") from error
    finally:
        await engine.dispose()


def _mysql_code(error: BaseException | None) -> int | None:
    original = error.orig if isinstance(error, DBAPIError) else None
    code = original.args[0] if original is not None and original.args else None
    return code if isinstance(code, int) else None


def _check_mysql_version(connection: Connection) -> None:
    dialect: Any = connection.dialect
    name, oldest = ("MariaDB", OLDEST_MARIADB) if dialect.is_mariadb else ("MySQL", OLDEST_MYSQL)
    version = tuple(connection.dialect.server_version_info or ())
    if version[:2] < oldest:
        found, needed = (".".join(map(str, parts)) for parts in (version, oldest))
        raise DatabaseUnsuitable(f"{name} {found} is too old: Parley needs {needed}")
    wrong = connection.execute(
        text(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND table_name IN"
            " ('users', 'messages', 'log_head', 'files', 'attachments', 'message_attachments',"
            " 'sessions', 'notices', 'blocks')"
            " AND table_collation <> 'utf8mb4_bin'"
        )
    ).scalars()
    if names := sorted(wrong):
        raise DatabaseUnsuitable(
            f"The tables {', '.join(names)} are not utf8mb4: emoji would be lost. Convert each with"
            " ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )
