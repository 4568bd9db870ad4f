"""Whether the client of one WebSocket lives, and reads."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from resolvers.context import Context
from schema.transports.protocol import CloseCode
from schema.transports.socket_writer import SocketWriter


class Heartbeat:
    """Pings a client that is silent; ends the connection of one that is dead or does not read.

    It has no timer: the endpoint has one for all connections, so that an idle one costs little.
    """

    __slots__ = ("_heard_at", "_interval", "_now", "_patience", "_slow_readers", "_writer")

    def __init__(self, ctx: Context, writer: SocketWriter) -> None:
        self._interval = ctx.settings.ping_interval_seconds
        self._patience = ctx.settings.ping_timeout_seconds
        self._writer = writer
        self._slow_readers = ctx.counted.slow_readers
        self._now = asyncio.get_running_loop().time
        self._heard_at = self._now()

    def hear(self) -> None:
        """Note that the client sent something."""
        self._heard_at = self._now()

    def check(self) -> Coroutine[Any, Any, None] | None:
        """Return what has to be sent now, if anything; call this every `pause_of(ctx)` seconds."""
        writer, now = self._writer, self._now()
        blocked, silent = writer.blocked_since, now - self._heard_at
        if blocked is not None and now - blocked > self._patience:
            self._slow_readers["graphql_ws"] += 1
            writer.abort()
        elif silent >= self._interval + self._patience:
            return writer.close(CloseCode.TIMEOUT, "Pong timeout")
        elif blocked is None and silent >= self._interval:
            return writer.ping(self._patience)
        return None


def pause_of(ctx: Context) -> float:
    """Return how many seconds may go by between two checks."""
    return min(ctx.settings.ping_interval_seconds, ctx.settings.ping_timeout_seconds) / 3
