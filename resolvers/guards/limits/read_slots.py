"""Costly reads: a few of each user run at once, over all of the user's connections; others wait."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from resolvers.errors import RateLimited

# A GraphQL request may have so many at its top, and there may be several of them.
MAX_WAITING = 100


class ReadSlots:
    """The reads of each user in this process: those that run, and those that wait for a slot."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._running: dict[int, int] = {}
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def hold(self, user_id: int) -> AsyncIterator[None]:
        """Hold a slot while the block lasts, after waiting for it. Raises RateLimited."""
        if self._running.get(user_id, 0) < self._at_once:
            self._running[user_id] = self._running.get(user_id, 0) + 1
        else:
            await self._wait(user_id)
        try:
            yield
        finally:
            self._release(user_id)

    async def _wait(self, user_id: int) -> None:
        waiting = self._waiting.setdefault(user_id, deque())
        if len(waiting) >= MAX_WAITING:
            raise RateLimited(
                "Too many reads at once; try again in 1 s",
                retry_after_ms=1000,
                setting="READS_AT_ONCE_PER_USER",
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release(user_id)  # it was handed the slot as it was cancelled
            raise

    def _release(self, user_id: int) -> None:
        """Hand the slot to the read that has waited longest, or give it back."""
        waiting = self._waiting.get(user_id)
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._waiting.pop(user_id, None)
        self._running[user_id] -= 1
        if not self._running[user_id]:
            del self._running[user_id]
