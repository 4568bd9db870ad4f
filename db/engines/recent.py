"""Connections that were used just now: lent again without going through the pool.

To take a connection from the pool costs as much as a page of history. The pool's work is for what
may have gone wrong since the connection was used.
"""

import asyncio
from time import monotonic
from typing import Any, Protocol

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Drops(Protocol):
    """Knows when all connections were given up."""

    @property
    def dropped_at(self) -> float:
        """Connections made before this moment (time.monotonic) are of no more use."""


# A connection that was used so lately is taken to be alive.
RESTED_SECONDS = 0.05


class RecentConnections:
    """Lends connections of an engine's pool, the one used last first.

    Those kept here and those lent together are never more than were lent at once.
    """

    def __init__(self, engine: AsyncEngine, drops: Drops) -> None:
        self._engine = engine
        self._drops = drops
        self._kept: list[tuple[AsyncConnection, float]] = []

    def __len__(self) -> int:
        """Return how many are kept here for the next caller."""
        return len(self._kept)

    async def borrow(self) -> AsyncConnection:
        """Return the connection used last if that was just now, else one from the pool."""
        if self._kept:
            connection, used_at = self._kept.pop()
            lately = monotonic() - used_at < RESTED_SECONDS and used_at > self._drops.dropped_at
            if lately and not connection.invalidated:
                return connection
            await _return_to_pool(connection, used_at)
        connection = self._engine.connect()
        task = asyncio.current_task()
        cancels = 0 if task is None else task.cancelling()
        await connection.start()
        if task is not None and task.cancelling() > cancels:
            # asyncmy connects under asyncio.wait_for. On Python 3.11 that loses a cancellation that
            # comes as the connection is made: a reader would go on for ever.
            await _return_to_pool(connection, monotonic())
            raise asyncio.CancelledError
        return connection

    def keep(self, connection: AsyncConnection) -> None:
        """Take back a connection that nothing went wrong with."""
        self._kept.append((connection, monotonic()))

    async def discard(self, connection: AsyncConnection) -> None:
        """Take back a connection that something went wrong with; the others may be ended too."""
        await _return_to_pool(connection, monotonic())
        await self.clear()

    async def clear(self) -> None:
        """Return the connections that are kept here to the pool."""
        while self._kept:
            await _return_to_pool(*self._kept.pop())


async def _return_to_pool(connection: AsyncConnection, used_at: float) -> None:
    info: dict[str, Any] = {}
    if not connection.invalidated:
        assert connection.sync_connection is not None  # noqa: S101  # it was started
        info = connection.sync_connection.info
    await connection.__aexit__(None, None, None)  # as at the end of a `with`: to its end
    info["used_at"] = used_at  # the pool has noted now, and would not ask whether it still lives


def watch_pool(engine: AsyncEngine, drops: Drops, *, pings: bool) -> None:
    """Have no caller use a connection that was given up, or has ended while it was not used.

    A server that restarted dropped its connections. SQLAlchemy's own ping asks every time.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def remember_making(connection: Any, record: Any) -> None:
        record.info["made_at"] = monotonic()

    @event.listens_for(engine.sync_engine, "checkin")
    def remember_use(connection: Any, record: Any) -> None:
        record.info["used_at"] = monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def look(connection: Any, record: Any, proxy: Any) -> None:
        if record.info.get("made_at", drops.dropped_at) <= drops.dropped_at:
            raise DisconnectionError  # the pool makes another, and tries again
        used_at = record.info.get("used_at")
        if not pings or used_at is None or monotonic() - used_at < RESTED_SECONDS:
            return
        dialect = engine.sync_engine.dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error
