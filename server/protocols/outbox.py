"""Which connections have something to send: one visit to all of them, not a callback for each."""

import asyncio
import logging
from collections.abc import Callable
from weakref import WeakKeyDictionary

logger = logging.getLogger("parley.server")


class Outbox:
    """Flushes what was written in one turn of the loop at the end of the next one.

    A broadcast to thousands of connections asks the loop for two callbacks, not for two each.
    """

    def __init__(self) -> None:
        self._flushes: list[Callable[[], None]] = []

    def add(self, flush: Callable[[], None]) -> None:
        """Have it called, once."""
        if not self._flushes:
            asyncio.get_running_loop().call_soon(self._wait)
        self._flushes.append(flush)

    def _wait(self) -> None:
        flushes, self._flushes = self._flushes, []
        asyncio.get_running_loop().call_soon(_flush, flushes)


def _flush(flushes: list[Callable[[], None]]) -> None:
    for flush in flushes:
        try:
            flush()
        except Exception:  # one connection's trouble, not that of those after it
            logger.exception("What was written to a connection could not be sent")


_outboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, Outbox] = WeakKeyDictionary()


def outbox_of(loop: asyncio.AbstractEventLoop) -> Outbox:
    """Return the outbox of this event loop; each loop has its own."""
    outbox = _outboxes.get(loop)
    if outbox is None:
        outbox = _outboxes[loop] = Outbox()
    return outbox
