"""Whether the peer of one WebSocket begins in time, lives, and reads."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from resolvers.context import Context
from schema.wire import CloseCode

Beside = Callable[[Coroutine[Any, Any, None]], None]


class Watched(Protocol):
    """The peer, as far as it is looked after here."""

    async def close(self, code: CloseCode, reason: str) -> None:
        """Close the connection, once."""

    async def ping(self, patience: float) -> None:
        """Ask whether it lives; end the connection when that cannot be sent in time."""

    def abort(self) -> None:
        """End the connection now."""


class Heartbeat:
    """Closes the connection of a peer that does not begin, is dead or does not read.

    Asks it now and then, `beside` what goes on. A timer, not a task: an idle connection is to
    cost little.
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
        self._peer = peer
        self._beside = beside
        self._now = loop.time
        self.begun = False
        self.heard_at = loop.time()
        self.sending_since: float | None = None  # a message that the peer's side does not take
        self._timer = loop.call_later(ctx.settings.connection_init_seconds, self._look_at_init)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def hear(self) -> None:
        """Note that something came."""
        self.heard_at = self._now()

    def wait(self) -> None:
        """Note that what is sent is not taken at once."""
        if self.sending_since is None:
            self.sending_since = self._now()

    def _look_at_init(self) -> None:
        if self.begun:
            self._look_again()
        else:
            timeout = self._peer.close(CloseCode.TIMEOUT, "Connection initialisation timeout")
            self._beside(timeout)

    def _look_again(self) -> None:
        settings = self._settings
        pause = min(settings.ping_interval_seconds, settings.ping_timeout_seconds) / 3
        self._timer = asyncio.get_running_loop().call_later(pause, self._look)

    def _look(self) -> None:
        interval = self._settings.ping_interval_seconds
        patience = self._settings.ping_timeout_seconds
        stuck, silent = self.sending_since, self._now() - self.heard_at
        if stuck is not None and self._now() - stuck > patience:
            self._peer.abort()
            return
        if silent >= interval + patience:
            self._beside(self._peer.close(CloseCode.TIMEOUT, "Pong timeout"))
            return
        if stuck is None and silent >= interval:
            self._beside(self._peer.ping(patience))
        self._look_again()
