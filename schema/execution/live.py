"""A subscription that has caught up: its events are shown as they come, and no task waits."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

import msgspec

from events.subscription import Subscription
from schema.execution.sources import Source

Encode = Callable[[Any], msgspec.Raw]


class Live(ABC):
    """Takes the place of a subscription's reader once the reader has emptied the queue.

    The reader, a task and a row of generators, ends then (`park`). What comes is shown at once,
    if that can be; what cannot waits in the queue, a new reader is asked for (`wake`), and reads
    the `rest` until the queue is empty again. Nothing overtakes what waits.
    """

    __slots__ = ("_encode", "_make", "_parked")

    def __init__(self) -> None:
        self._make: Callable[[Any], Any] = lambda item: item  # an event of what is in the queue
        self._encode: Encode | None = None  # an event's result, for all
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

    def follow(self, make: Callable[[Any], Any], encode: Encode) -> None:
        """Show the events that `make` makes of the items, each of them encoded once for all."""
        self._make, self._encode = make, encode

    def show(self, item: Any) -> bool:
        """Show an item; False when it has to be read, and shown the long way."""
        if self._encode is None:
            return False
        try:
            result = self._encode(self._make(item))
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

    def rest(self) -> Source[Any]:
        """Return what waits, and whatever else comes before the queue is empty again."""
        return Source(self._read_rest, self._make)

    async def _read_rest(self, consumer: object) -> AsyncGenerator[Iterable[Any], None]:
        parked, self._parked = self._parked, None
        assert parked is not None  # noqa: S101  # whoever asked for the rest has looked
        with parked:
            async for item in parked:
                yield (item,)
