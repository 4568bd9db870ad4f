"""Entries for everybody, delivered to many sinks in slices: other work runs between two slices."""

import asyncio
import logging
from collections import deque
from collections.abc import Collection
from typing import Generic, Protocol, TypeVar

from events.facts import Placed
from events.slices import in_slices

logger = logging.getLogger("parley.feed")


E = TypeVar("E", bound=Placed)
E_contra = TypeVar("E_contra", contravariant=True)

# An entry is delivered to so many sinks at once; to more, in slices.
AT_ONCE = 200
# Entries under way. With one more, the oldest is delivered at once to all sinks that wait for it.
MOST_UNDER_WAY = 32


class Sink(Protocol[E_contra]):
    """Receives a subscriber's entries. `deliver` must not block; `size` is in bytes, roughly."""

    def deliver(self, item: E_contra, size: int) -> None:
        """Take an entry."""

    def interrupt(self) -> None:
        """Have the subscriber resume: entries that it got may no longer be in the log."""


class Spread(Generic[E]):
    """Entries on their way to many sinks: each sink gets every entry once, in order."""

    def __init__(self) -> None:
        self._under_way: deque[tuple[E, int, dict[Sink[E], None]]] = deque()
        self._spreading: asyncio.Task[None] | None = None

    def send(
        self, entry: E, size: int, sinks: Collection[Sink[E]], now: Collection[Sink[E]] = ()
    ) -> None:
        """Deliver an entry: at once to few sinks, else in the loop's next turns, to `now` first."""
        if not self._under_way and len(sinks) <= AT_ONCE:
            _deliver(sinks, entry, size)
            return
        self._under_way.append((entry, size, dict.fromkeys(sinks)))
        if len(self._under_way) > MOST_UNDER_WAY:
            for sink in [*self._under_way[0][2]]:
                self.complete(sink)
            self._under_way.popleft()
        for sink in now:
            self.complete(sink)
        if self._spreading is None:
            self._spreading = asyncio.create_task(self._spread(), name="spread")
            self._spreading.add_done_callback(self._ended)

    def deliver(self, entry: E, size: int, sinks: Collection[Sink[E]]) -> None:
        """Deliver an entry to a few sinks now, after the entries that are under way to them."""
        if self._under_way:
            for sink in sinks:
                self.complete(sink)
        _deliver(sinks, entry, size)

    def complete(self, sink: Sink[E]) -> None:
        """Deliver to a sink, now, the entries that are under way to it."""
        for entry, size, waiting in self._under_way:
            if sink in waiting:
                del waiting[sink]
                _deliver((sink,), entry, size)

    def leave_out(self, sink: Sink[E]) -> None:
        """Drop the entries that are under way to a sink."""
        for _, _, waiting in self._under_way:
            waiting.pop(sink, None)

    def drop(self) -> None:
        """Drop all entries that are under way."""
        self._under_way.clear()

    def close(self) -> None:
        """End."""
        if self._spreading is not None:
            self._spreading.cancel()

    async def _spread(self) -> None:
        while self._under_way:
            entry = self._under_way[0]
            await in_slices([*entry[2]], self.complete, rest=0.0)
            if self._under_way and self._under_way[0] is entry:
                self._under_way.popleft()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._spreading = None


def _deliver(sinks: Collection[Sink[E]], entry: E, size: int) -> None:
    for sink in sinks:
        try:
            sink.deliver(entry, size)
        except Exception:
            logger.exception("A subscriber failed on position %d", entry.id)
