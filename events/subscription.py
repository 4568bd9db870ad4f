"""A subscriber's bounded queue."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class SubscriberTooSlow(Exception):
    """The subscriber did not keep up; it lost its place and must resume from the log."""


class Subscription(Generic[T]):
    """What was delivered and not yet read. Leaving the `with` block ends it.

    Holds at most `max_items` items and `max_bytes` bytes; beyond either it drops all it holds
    and the reader gets SubscriberTooSlow: a queue must not grow with a reader's slowness.

    While the reader waits and nothing is queued, an item is given to `show` first: one that it
    takes (it returns True) needs neither the queue nor a turn of the reader's task.
    """

    def __init__(
        self,
        *,
        max_items: int,
        max_bytes: int,
        leave: Callable[["Subscription[T]"], None],
        show: Callable[[T], bool] = lambda item: False,
    ) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._leave = leave
        self._show = show
        self._waiting = False
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._ready = asyncio.Event()
        self.overflowed = False

    def deliver(self, item: T, size: int) -> None:
        """Queue an item of about `size` bytes for the reader."""
        if self.overflowed:
            return
        if self._waiting and not self._items and self._show(item):
            return
        full = len(self._items) >= self._max_items or self._bytes + size > self._max_bytes
        # An empty queue takes anything: what is too large for it could never be delivered.
        if self._items and full:
            self.overflowed = True
            self._items.clear()
        else:
            self._items.append((item, size))
            self._bytes += size
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

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield items as they come, without end. Raises SubscriberTooSlow."""
        while True:
            self._waiting = True
            await self._ready.wait()
            self._waiting = False
            while self._items:
                item, size = self._items.popleft()
                self._bytes -= size
                yield item
            if self.overflowed:
                raise SubscriberTooSlow
            self._ready.clear()
