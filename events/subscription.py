"""A subscriber's bounded queue."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

T = TypeVar("T")


class SubscriberTooSlow(Exception):
    """The subscriber did not keep up, or the log went back; it must resume from the log."""


class Front(Protocol):
    """Takes items in place of a reader that waits, so that there need not be one."""

    def show(self, item: Any) -> bool:
        """Take an item; False when it has to be read."""

    def park(self, subscription: "Subscription[Any]") -> None:
        """Keep the subscription, whose reader ends."""

    def wake(self) -> None:
        """Have the subscription read again; it has items, or has overflowed."""


class Subscription(Generic[T]):
    """What was delivered and not yet read. Leaving the `with` block ends it, unless it is parked.

    Holds at most `max_items` items and `max_bytes` bytes; beyond either it drops all it holds
    and the reader gets SubscriberTooSlow: a queue must not grow with a reader's slowness.

    With a `front`, the reader ends as soon as nothing is queued: the subscription is parked then.
    An item is given to the front first; one that it does not take is queued, and the front is
    woken, once, to have all that is queued read.
    """

    __slots__ = (
        "_bytes",
        "_items",
        "_leave",
        "_max_bytes",
        "_max_items",
        "_wake",
        "front",
        "interrupted",
        "overflowed",
        "parked",
    )

    def __init__(
        self, *, max_items: int, max_bytes: int, leave: Callable[["Subscription[T]"], None]
    ) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._leave = leave
        self._items: deque[tuple[T, int]] | None = None  # none while it is empty
        self._bytes = 0
        self._wake: Callable[[], None] | None = None  # while a reader waits
        self.front: Front | None = None
        self.parked: Front | None = None
        self.overflowed = False
        self.interrupted = False

    def interrupt(self) -> None:
        """Drop what is queued and have the reader get SubscriberTooSlow: it is to resume."""
        self.interrupted = self.overflowed = True
        self._items = None
        if self.parked is not None:
            front, self.parked = self.parked, None
            front.wake()
        elif self._wake is not None:
            self._wake()

    def deliver(self, item: T, size: int) -> None:
        """Queue an item of about `size` bytes for the reader."""
        front = self.parked
        if front is not None and front.show(item):
            return
        if self.overflowed:
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
        if front is not None:
            self.parked = None
            front.wake()
        elif self._wake is not None:
            self._wake()

    def leave(self) -> None:
        """Have nothing more delivered."""
        self._leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.parked is None:
            self._leave(self)

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield items as they come, without end or until parked. Raises SubscriberTooSlow."""
        while not self.overflowed:
            if self._items is None:
                if self.front is not None:
                    self.parked = self.front
                    self.front.park(self)
                    return
                reader = asyncio.get_running_loop().create_future()
                self._wake = partial(_set, reader)
                try:
                    await reader
                finally:
                    self._wake = None
                continue
            item, size = self._items.popleft()
            self._bytes -= size
            if not self._items:
                self._items = None
            yield item
        raise SubscriberTooSlow


def _set(reader: asyncio.Future[None]) -> None:
    if not reader.done():
        reader.set_result(None)
