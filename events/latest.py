"""What a watcher of presence has not read yet."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import islice
from types import TracebackType
from typing import Self

from events.facts import PresenceChanged

# What is read at once is looked up, and sent, at once.
MOST_AT_ONCE = 500


class LatestChanges:
    """Each user's latest change since it was last read. Leaving the `with` block ends it.

    However slow the reader, this holds no more than there are users: nobody needs to be cut off.
    """

    def __init__(self, viewer_id: int, leave: Callable[["LatestChanges"], None]) -> None:
        self.viewer_id = viewer_id
        self._leave = leave
        self._waiting: dict[int, PresenceChanged] = {}
        self._ready = asyncio.Event()

    def deliver(self, change: PresenceChanged) -> None:
        """Keep the change for the reader, in place of an earlier one of the same user."""
        self._waiting.pop(change.user_id, None)
        self._waiting[change.user_id] = change
        self._ready.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(self)

    async def __aiter__(self) -> AsyncIterator[Sequence[PresenceChanged]]:
        """Yield the changes that wait, in order, as soon as there are any; without end."""
        while True:
            await self._ready.wait()
            while self._waiting:
                changes = [*islice(self._waiting.values(), MOST_AT_ONCE)]
                for change in changes:
                    del self._waiting[change.user_id]
                yield changes
            self._ready.clear()
