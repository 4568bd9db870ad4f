"""Work for thousands of connections, a slice at a time: between two slices others get the loop."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

# What one slice may take of the loop; its size follows from what the slices before it took.
SLICE_SECONDS = 0.006
FIRST_ITEMS = 8
# What a slice has begun is over after so many turns of the loop: a reader that was woken has run,
# and what it wrote has been handed to the system.
TURNS = 3
# How much more than its own time the work waits after each slice, so that others come first.
REST = 1.0


async def in_slices(
    items: Sequence[T], work: Callable[[T], object], *, rest: float = REST
) -> float:
    """Call `work` with each item, in order; return for how many seconds the loop was busy.

    After each slice it waits `rest` times as long as the slice took.
    """
    clock = asyncio.get_running_loop().time
    busy, start, size = 0.0, 0, FIRST_ITEMS
    while start < len(items):
        began = clock()
        for item in items[start : start + size]:
            work(item)
        start += size
        for _ in range(TURNS):
            await asyncio.sleep(0)
        spent = clock() - began
        busy += spent
        if start < len(items):
            size = max(1, min(2 * size, int(size * SLICE_SECONDS / max(spent, 1e-6))))
            if rest:
                await asyncio.sleep(rest * spent)
    return busy


class Pace:
    """Lets so many callers through in a second, one after the other; the rest wait in order."""

    def __init__(self, *, per_second: float) -> None:
        self._interval = 1 / per_second
        self._next = 0.0

    async def turn(self) -> None:
        """Wait until the caller may go on."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._next)
        self._next = start + self._interval
        if start > now:
            await asyncio.sleep(start - now)
