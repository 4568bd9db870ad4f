"""A subscription that has caught up: each event is sent as it comes, and no task waits for it.

Phoenix calls this fastlaning (docs/decisions/0015-one-path.md).
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

import msgspec

from events.subscription import Subscription
from schema.execution.sources import Source

Encode = Callable[[Any], msgspec.Raw]


class Fastlane(ABC):
    """Takes the place of a subscription's reader once the reader has emptied the queue.

    The reader, a task and its generators, ends then (`park`). From then on an item is sent at once
    where that is possible. An item that cannot be sent at once stays in the queue, and a new reader
    is asked for (`wake`): the reader reads the `rest` until the queue is empty again. No item
    overtakes one that waits.
    """

    __slots__ = ("_encode", "_make", "_parked")

    def __init__(self) -> None:
        self._make: Callable[[Any], Any] = lambda item: item  # the event of a queued item
        self._encode: Encode | None = None  # an event's result, the same for everybody
        self._parked: Subscription[Any] | None = None

    @abstractmethod
    def write(self, result: msgspec.Raw) -> bool:
        """Send a result without waiting; False when that is not possible now."""

    @abstractmethod
    def wake(self) -> None:
        """Start a reader of the queue soon."""

    @property
    def is_parked(self) -> bool:
        """Whether items come here, and no longer to a reader."""
        return self._parked is not None

    def follow(self, make: Callable[[Any], Any], encode: Encode) -> None:
        """Send the events that `make` makes of the items, encoded by `encode`."""
        self._make, self._encode = make, encode

    def show(self, item: Any) -> bool:
        """Send an item; False when a reader has to read and send it."""
        if self._encode is None:
            return False
        try:
            result = self._encode(self._make(item))
        except Exception:  # the reader meets the same error, and reports it
            return False
        return self.write(result)

    def park(self, subscription: Subscription[Any]) -> None:
        """Take over a queue that is empty."""
        self._parked = subscription

    def leave(self) -> None:
        """End the subscription, if it is parked here."""
        if self._parked is not None:
            self._parked.leave()
            self._parked = None

    def rest(self) -> Source[Any]:
        """Return what is queued, and what comes until the queue is empty again."""
        return Source(self._read_rest, self._make)

    async def _read_rest(self, consumer: object) -> AsyncGenerator[Iterable[Any], None]:
        parked, self._parked = self._parked, None
        assert parked is not None  # noqa: S101  # the caller has looked: `is_parked`
        with parked:
            async for item in parked:
                yield (item,)
