"""SQLite's connections: transactions begun by us, one writer, each commit on the disk."""

import asyncio
import sqlite3
from contextlib import suppress
from typing import Any

import aiosqlite
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

# Each commit is on the disk before it is acknowledged.
SYNCHRONOUS = "FULL"


class _Releasing(sqlite3.Connection):
    """Ends its transaction when it is closed. SQLite keeps a closed connection, and its lock, for
    as long as there is a cursor with rows left: a caller that was cancelled leaves one."""

    def close(self) -> None:
        try:
            if self.in_transaction:
                self.rollback()
        finally:
            super().close()


def sqlite_engine(url: URL, *, pool_size: int, wait_seconds: float, writes: bool) -> AsyncEngine:
    """Return an engine that reads, or one that writes and has a transaction of its own begun."""
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=wait_seconds,
        pool_reset_on_return="rollback" if writes else None,
        # None leaves BEGIN to us. The driver begins too late, with a lock whose upgrade may fail.
        connect_args={
            "isolation_level": None,
            "timeout": wait_seconds,
            "factory": _Releasing,
            "async_creator_fn": _open,
        },
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection: Any, record: Any) -> None:
        _stop_once(connection.driver_connection)
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
            cursor.execute("PRAGMA foreign_keys = ON")
            # Deleted data is overwritten with zeros: no free page tells who had a deleted account.
            cursor.execute("PRAGMA secure_delete = ON")
            cursor.close()
        except BaseException:
            connection.close()  # the pool does not: the file may be no database
            raise

    if writes:

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


async def _open(*arguments: Any, **options: Any) -> aiosqlite.Connection:
    """Open a connection. One whose caller goes away meanwhile is closed.

    aiosqlite forgets it: its file stayed open until the collector came.
    """
    connection = aiosqlite.connect(*arguments, **options)
    connection._thread.daemon = True  # as SQLAlchemy has it: no thread keeps the process alive
    opening = asyncio.ensure_future(_opened(connection))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        closing = asyncio.create_task(_close(opening), name="close")
        _closing.add(closing)
        closing.add_done_callback(_closing.discard)
        raise


_closing: set[asyncio.Task[None]] = set()  # the loop itself keeps no task alive


async def _opened(connection: aiosqlite.Connection) -> aiosqlite.Connection:
    return await connection


async def _close(opening: asyncio.Future[aiosqlite.Connection]) -> None:
    with suppress(sqlite3.Error):  # it could not be opened
        await (await opening).close()


def _stop_once(connection: Any) -> None:
    """Let a connection be stopped twice: a second cancellation stops it while it closes.

    No thread is left then to answer the second stop, and its caller would wait for ever.
    """
    stop, stopped = connection.stop, False

    def stop_once() -> Any:
        nonlocal stopped
        answer = None if stopped else stop()
        stopped = True
        return answer

    connection.stop = stop_once
