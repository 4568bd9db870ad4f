"""A subscriber's bounded queue."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Protocol, Self, TypeVar

T = TypeVar("T")


class SubscriberTooSlow(Exception):
    """The subscriber did not keep up, or the log went back; it must resume from the log."""


class Consumer(Protocol):
    """Takes items directly, so that no reader has to wait for them."""

    def show(self, item: Any) -> bool:
        """Take an item; False when it has to be queued and read."""

    def park(self, subscription: "Subscription[Any]") -> None:
        """Keep the subscription, whose reader ends now."""

    def wake(self) -> None:
        """Start a reader for the subscription: it has items, or has overflowed."""


class Subscription(Generic[T]):
    """A queue of delivered items. Leaving the `with` block ends it, unless it is parked.

    It holds at most `max_items` items and `max_bytes` bytes. Beyond either it drops all of them,
    and its reader gets SubscriberTooSlow: a slow reader must not make a queue grow.

    With a `consumer`, the reader ends as soon as the queue is empty: the subscription is parked.
    From then on each item is given to the consumer first. An item that the consumer does not take
    is queued, and the consumer is woken, once, to start a reader for the queue.
    """

    __slots__ = (
        "_bytes",
        "_items",
        "_leave",
        "_max_bytes",
        "_max_items",
        "_reader",
        "consumer",
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
        self._reader: asyncio.Future[None] | None = None  # while it waits
        self.consumer: Consumer | None = None
        self.parked: Consumer | None = None
        self.overflowed = False
        self.interrupted = False

    @property
    def waiting(self) -> int:
        """How many items wait for the reader."""
        return 0 if self._items is None else len(self._items)

    def interrupt(self) -> None:
        """Drop what is queued, and have the reader get SubscriberTooSlow so that it resumes."""
        self.interrupted = self.overflowed = True
        self._items = None
        self._wake_reader()

    def deliver(self, item: T, size: int) -> None:
        """Queue an item of about `size` bytes for the reader."""
        if self.parked is not None and self.parked.show(item):
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
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self.parked is not None:
            consumer, self.parked = self.parked, None
            consumer.wake()
        elif self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def leave(self) -> None:
        """Have nothing more delivered."""
        self._leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.parked is None:
            self._leave(self)

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield items as they come, without end or until parked. Raises SubscriberTooSlow."""
        while not self.overflowed:
            if self._items is None:
                if self.consumer is not None:
                    self.parked = self.consumer
                    self.consumer.park(self)
                    return
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
