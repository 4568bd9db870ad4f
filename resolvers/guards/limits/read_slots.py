"""Costly reads: a few of each user run at once, over all of the user's connections; others wait."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from resolvers.errors import RateLimited

# A GraphQL request may have so many at its top, and there may be several of them.
MAX_WAITING = 100


class ReadSlots:
    """The slots of each user for reads in this process."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._slots: dict[int, asyncio.Semaphore] = {}
        self._reads: Counter[int] = Counter()  # those that run, and those that wait

    @asynccontextmanager
    async def hold(self, user_id: int) -> AsyncIterator[None]:
        """Hold a slot while the block lasts, after waiting for it. Raises RateLimited."""
        if self._reads[user_id] >= self._at_once + MAX_WAITING:
            raise RateLimited(
                "Too many reads at once; try again in 1 s",
                retry_after_ms=1000,
                setting="READS_AT_ONCE_PER_USER",
            )
        if user_id not in self._slots:
            self._slots[user_id] = asyncio.Semaphore(self._at_once)
        self._reads[user_id] += 1
        try:
            async with self._slots[user_id]:
                yield
        finally:
            self._reads[user_id] -= 1
            if not self._reads[user_id]:
                del self._reads[user_id], self._slots[user_id]
