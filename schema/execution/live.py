"""A subscription that has caught up: its events are shown as they come, and no task waits."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

from events.subscription import Subscription


class Live(ABC):
    """Stands for the reader of a queue once that has read all there was.

    The reader, a task and a row of generators, ends then (`park`). What comes is shown at once,
    if that can be; what cannot waits in the queue, a new reader is asked for (`wake`), and reads
    with `rest` until the queue is empty again. Nothing overtakes what waits.
    """

    __slots__ = ("_parked", "encode", "make")

    def __init__(self) -> None:
        self.encode: Callable[[Any], msgspec.Raw] | None = None  # an event's result, for all
        self.make: Callable[[Any], Any] | None = None  # an event of what is in the queue
        self._parked: Subscription[Any] | None = None

    @abstractmethod
    def write(self, result: msgspec.Raw) -> bool:
        """Send a result without waiting; False when that cannot be now."""

    @abstractmethod
    def wake(self) -> None:
        """Have what waits read, soon."""

    @property
    def is_parked(self) -> bool:
        """Whether what is shown, and what waits, is here and no longer with a reader."""
        return self._parked is not None

    def of(self, make: Callable[[Any], Any]) -> "Live":
        """Show what `make` makes of the items."""
        self.make = make
        return self

    def show(self, item: Any) -> bool:
        """Show an item; False when it has to be read, and shown the long way."""
        if self.make is None or self.encode is None:
            return False
        try:
            result = self.encode(self.make(item))
        except Exception:  # the long way fails in the same way, and tells it
            return False
        return self.write(result)

    def park(self, subscription: Subscription[Any]) -> None:
        """Take over a queue that is empty."""
        self._parked = subscription

    def leave(self) -> None:
        """End the subscription, if it is here."""
        if self._parked is not None:
            self._parked.leave()
            self._parked = None

    async def rest(self) -> AsyncGenerator[Any, None]:
        """Yield the events that wait, and whatever else comes before the queue is empty again."""
        parked, self._parked = self._parked, None
        assert parked is not None and self.make is not None  # noqa: S101, PT018
        with parked:
            async for item in parked:
                yield self.make(item)
