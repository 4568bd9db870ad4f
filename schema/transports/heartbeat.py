"""Whether the peer of one WebSocket begins in time, lives, and reads."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from resolvers.context import Context
from schema.transports.wire import CloseCode

Beside = Callable[[Coroutine[Any, Any, None]], None]


class Watched(Protocol):
    """The peer, as far as it is looked after here."""

    closed: bool

    async def close(self, code: CloseCode, reason: str) -> None:
        """Close the connection, once."""

    async def ping(self, patience: float) -> None:
        """Ask whether it lives; end the connection when that cannot be sent in time."""

    def abort(self) -> None:
        """End the connection now."""


class Heartbeat:
    """Closes the connection of a peer that does not begin, is dead or does not read.

    Asks it now and then, `beside` what goes on. Its own timer is for the beginning only; then it
    is told when to `look`, with all others: an idle connection is to cost little.
    """

    __slots__ = (
        "_beside",
        "_now",
        "_peer",
        "_settings",
        "_timer",
        "begun",
        "heard_at",
        "sending_since",
    )

    def __init__(self, ctx: Context, peer: Watched, beside: Beside) -> None:
        loop = asyncio.get_running_loop()
        self._settings = ctx.settings
        self._peer: Watched | None = peer
        self._beside: Beside | None = beside
        self._now = loop.time
        self.begun = False
        self.heard_at = loop.time()
        self.sending_since: float | None = None  # a message that the peer's side does not take
        self._timer: asyncio.TimerHandle | None = loop.call_later(
            ctx.settings.connection_init_seconds, self._end
        )

    def begin(self) -> None:
        """Note that the peer has begun."""
        self.begun = True
        self.stop()

    def stop(self) -> None:
        """Wait no more for it to begin."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """Look after the peer no more, and refer to nothing that refers to this."""
        self.stop()
        self._peer = self._beside = None

    def hear(self) -> None:
        """Note that something came."""
        self.heard_at = self._now()

    def wait(self) -> None:
        """Note that what is sent is not taken at once."""
        if self.sending_since is None:
            self.sending_since = self._now()

    def look(self) -> None:
        """Look at a peer that has begun; call this every `pause_of(ctx)` seconds."""
        peer, beside = self._peer, self._beside
        if not self.begun or peer is None or beside is None or peer.closed:
            return
        interval = self._settings.ping_interval_seconds
        patience = self._settings.ping_timeout_seconds
        stuck, silent = self.sending_since, self._now() - self.heard_at
        if stuck is not None and self._now() - stuck > patience:
            peer.abort()
        elif silent >= interval + patience:
            beside(peer.close(CloseCode.TIMEOUT, "Pong timeout"))
        elif stuck is None and silent >= interval:
            beside(peer.ping(patience))

    def _end(self) -> None:
        self._timer = None
        if self._peer is not None and self._beside is not None:
            timeout = self._peer.close(CloseCode.TIMEOUT, "Connection initialisation timeout")
            self._beside(timeout)


def pause_of(ctx: Context) -> float:
    """Return how many seconds may go by between two looks."""
    return min(ctx.settings.ping_interval_seconds, ctx.settings.ping_timeout_seconds) / 3
