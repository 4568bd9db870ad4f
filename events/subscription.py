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
        self._items: deque[tuple[T, int]] | None = None  # none while it is empty
        self._bytes = 0
        self._reader: asyncio.Future[None] | None = None  # while it waits
        self.overflowed = False

    def deliver(self, item: T, size: int) -> None:
        """Queue an item of about `size` bytes for the reader."""
        if self.overflowed:
            return
        if self._reader is not None and self._items is None and self._show(item):
            return
        if self._items is None:
            # An empty queue takes anything: what is too large for it could never be delivered.
            self._items = deque([(item, size)])
            self._bytes = size
        elif len(self._items) >= self._max_items or self._bytes + size > self._max_bytes:
            self.overflowed = True
            self._items = None
        else:
            self._items.append((item, size))
            self._bytes += size
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

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
        while not self.overflowed:
            if self._items is None:
                self._reader = asyncio.get_running_loop().create_future()
                try:
                    await self._reader
                finally:
                    self._reader = None
                continue
            item, size = self._items.popleft()
            self._bytes -= size
            if not self._items:
                self._items = None
            yield item
        raise SubscriberTooSlow
