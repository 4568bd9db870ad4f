"""Connections to SQLite, MySQL or MariaDB: one pool that reads, one that writes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.engines.mysql import MySQLFacts, check_version, create_database, mysql_engine
from db.engines.older import check_not_foreign
from db.engines.recent import RecentConnections, watch_pool
from db.engines.sqlite import sqlite_engine
from db.engines.troubles import (
    DatabaseBusy,
    DatabaseMoved,
    DatabaseUnavailable,
    DatabaseUnsuitable,
    Deadlocked,
    Judging,
    PoolExhausted,
    TooLargeForDatabase,
    too_large,
)
from db.private import DirectoryUnusable, open_database_file

__all__ = [
    "Database",
    "DatabaseBusy",
    "DatabaseMoved",
    "DatabaseUnavailable",
    "DatabaseUnsuitable",
    "Deadlocked",
    "TooLargeForDatabase",
    "retrying_deadlocks",
]

logger = logging.getLogger("parley.db")

T = TypeVar("T")

# How long a caller waits for a free connection before it is told that the database is unavailable.
POOL_WAIT_SECONDS = 10
CONNECT_SECONDS = 5
# How long a database that hangs may keep a caller: far longer than any statement of ours takes.
ANSWER_SECONDS = 30
DEADLOCK_TRIES = 5
DEADLOCK_SECONDS = 0.005
# How long the answer to "does the database take changes?" is taken to be true.
WRITABLE_SECONDS = 1.0
# Changes nothing and locks nothing. A server that refuses changes refuses this statement too.
NO_CHANGE = text("UPDATE log_head SET position = position WHERE id = 0")


class Database:
    """`read` and `write` lend connections of the two pools; `close` ends both.

    `says`: whether the log tells of its troubles.
    """

    def __init__(self, url: str, *, pool_size: int = 10, says: bool = True) -> None:
        self.url = make_url(url)
        self._turns = asyncio.Semaphore(pool_size)  # first come, first served
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._judging = Judging(is_sqlite=self.is_sqlite, says=says)
        self._facts = MySQLFacts()
        # SQLite has one writer at a time; more would only wait for its lock. On MySQL the log keeps
        # one connection for its batches, beside those for all others.
        self._reads = self._engine(pool_size, writes=False)
        self._writes = self._engine(1 if self.is_sqlite else pool_size + 1, writes=True)
        for engine in (self._reads, self._writes):
            watch_pool(engine, self._judging, pings=not self.is_sqlite)
        self._readers = RecentConnections(self._reads, self._judging)
        self._writers = RecentConnections(self._writes, self._judging)
        self._trying_to_write = asyncio.Lock()
        self._tried_to_write: tuple[float, DatabaseUnavailable | None] = (float("-inf"), None)

    def _engine(self, pool_size: int, *, writes: bool) -> AsyncEngine:
        options = {"pool_size": pool_size, "wait_seconds": POOL_WAIT_SECONDS}
        if self.is_sqlite:
            return sqlite_engine(self.url, writes=writes, **options)
        facts, seconds = self._facts, CONNECT_SECONDS
        return mysql_engine(
            self.url, writes=writes, facts=facts, connect_seconds=seconds, **options
        )

    @property
    def packet_bytes(self) -> int | None:
        """The largest statement that may be sent, in bytes; None where that is not known."""
        return self._facts.packet_bytes

    @property
    def place(self) -> str:
        """Where the database is, without a user and a password."""
        if self.is_sqlite:
            return self.url.database or ""
        return f"{self.url.host}:{self.url.port or 3306}/{self.url.database}"

    def product(self, connection: AsyncConnection) -> str:
        """Return what the database of a connection is, and its version."""
        dialect: Any = connection.dialect
        name = "SQLite" if self.is_sqlite else "MariaDB" if dialect.is_mariadb else "MySQL"
        return f"{name} {'.'.join(map(str, dialect.server_version_info or ()))}"

    def usage(self) -> dict[str, int]:
        """Return how many connections are in use, and how many there may be."""
        told: dict[str, int] = {}
        for name, engine, kept in (
            ("reading", self._reads, self._readers),
            ("writing", self._writes, self._writers),
        ):
            pool: Any = engine.pool
            told |= {name: pool.checkedout() - len(kept), f"most{name.title()}": pool.size()}
        return told

    def say_too_large(self, size: int) -> None:
        """Log, now and then, that a statement of this size was not even sent."""
        self._judging.say(too_large(size, self.packet_bytes))

    @asynccontextmanager
    async def read(self, *, seconds: float = ANSWER_SECONDS) -> AsyncIterator[AsyncConnection]:
        """Lend a connection whose statements see what is committed.

        Where a proxy sends reads to a replica, or a cluster's node is behind, the last commits may
        be missing: `read_written` sees them. Raises DatabaseUnavailable.
        """
        with self._judging:
            async with asyncio.timeout(seconds):
                await self._wait_for_turn()
                try:
                    async with _lent(self._readers) as connection:
                        yield connection
                finally:
                    self._turns.release()

    @asynccontextmanager
    async def read_written(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection that reads where changes are written. Raises DatabaseUnavailable."""
        if self.is_sqlite:
            async with self.read() as connection:
                yield connection
            return
        async with self.write() as connection:
            # A server that takes no changes is not the one that has them.
            await connection.execute(NO_CHANGE)
            yield connection

    @asynccontextmanager
    async def write(
        self, *, seconds: float | None = ANSWER_SECONDS
    ) -> AsyncIterator[AsyncConnection]:
        """Lend a connection in a transaction, committed at the end. Raises DatabaseUnavailable."""
        with self._judging:
            async with asyncio.timeout(seconds), self._writes.begin() as connection:
                yield connection

    @asynccontextmanager
    async def write_whole(self) -> AsyncIterator[AsyncConnection]:
        """Lend one of MySQL's connections for transactions that are sent whole, with their COMMIT.

        The caller leaves no transaction open, or invalidates the connection. Raises
        DatabaseUnavailable.
        """
        with self._judging:
            async with asyncio.timeout(ANSWER_SECONDS), _lent(self._writers) as connection:
                yield connection

    async def _wait_for_turn(self) -> None:
        # The pool gives a returned connection to the caller that asks next, which is often the one
        # that returned it: others waited for a quarter of a second.
        if not self._turns.locked():
            await self._turns.acquire()  # at once
            return
        try:
            async with asyncio.timeout(POOL_WAIT_SECONDS):
                await self._turns.acquire()
        except TimeoutError as error:
            raise PoolExhausted from error

    async def ping(self) -> None:
        """Ask the database for nothing. Raises DatabaseUnavailable."""
        async with self.read(seconds=CONNECT_SECONDS) as connection:
            await connection.execute(text("SELECT 1"))

    async def check_writable(self) -> None:
        """Return when the database answers and takes changes, as of a second ago at most.

        This also leaves a server that has become read-only. Raises DatabaseUnavailable.
        """
        async with self._trying_to_write:
            now = asyncio.get_running_loop().time
            tried_at, failure = self._tried_to_write
            if failure is not None or now() - tried_at > WRITABLE_SECONDS:
                failure = None
                try:
                    await self.ping()
                    async with self.write(seconds=CONNECT_SECONDS) as connection:
                        await connection.execute(NO_CHANGE)
                except DatabaseUnavailable as error:
                    failure = error
                self._tried_to_write = (now(), failure)
        if failure is not None:
            raise DatabaseUnavailable(str(failure)) from failure

    async def prepare(self) -> None:
        """Make the database when it is missing and our user may.

        Raises DatabaseUnsuitable, DatabaseUnavailable.
        """
        if self.is_sqlite:
            try:
                await asyncio.to_thread(open_database_file, Path(self.url.database or ""))
            except DirectoryUnusable as error:
                raise DatabaseUnsuitable(str(error)) from error
            with self._judging:
                # Not `read`, which keeps its connection a while: perhaps the only one of the pool.
                async with self._reads.connect() as connection:
                    await connection.run_sync(check_not_foreign)
                await self._write_ahead()
            return
        engine = mysql_engine(
            self.url.set(database=""),
            pool_size=1,
            writes=False,
            wait_seconds=POOL_WAIT_SECONDS,
            connect_seconds=CONNECT_SECONDS,
        )
        try:
            with self._judging:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await create_database(engine, self.url.database or "")
        finally:
            await engine.dispose()
        async with self.read() as connection:
            await connection.run_sync(check_not_foreign)
            await connection.run_sync(check_version)

    async def _write_ahead(self) -> None:
        # With write-ahead logging, which the file remembers, readers go on while one writes. SQLite
        # does not wait here for other processes, which may be starting too, as it does elsewhere.
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
        await self._readers.clear()
        await self._writers.clear()
        await self._reads.dispose()
        await self._writes.dispose()


@asynccontextmanager
async def _lent(connections: RecentConnections) -> AsyncIterator[AsyncConnection]:
    connection = await connections.borrow()
    try:
        yield connection
    except BaseException:
        await connections.discard(connection)
        raise
    connections.keep(connection)


async def retrying_deadlocks(transaction: Callable[[], Awaitable[T]]) -> T:
    """Await `transaction()`, and again when the database undid it, or has moved.

    Raises what it raises.
    """
    for attempt in range(DEADLOCK_TRIES - 1):
        try:
            return await transaction()
        except DatabaseMoved:
            # Once, on a new connection: while the address still leads to the old server, callers
            # hear of it at once.
            return await transaction()
        except Deadlocked:
            logger.debug("A deadlock ended a transaction; trying again")
            # The second time later: two that met twice at once would meet again.
            await asyncio.sleep(attempt * DEADLOCK_SECONDS)
    return await transaction()
