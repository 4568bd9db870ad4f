"""Source streams: what the function of a subscription's field returns."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from events.slices import Pace
from events.subscription import Consumer

T = TypeVar("T")

# Given a consumer or None, yields batches of items.
Read = Callable[[Consumer | None], AsyncGenerator[Iterable[Any], None]]


class Source(Generic[T]):
    """The events of one subscription.

    `read` yields batches of items, and `show` turns an item into an event of the field's type. With
    a consumer, `read` may end once it has yielded all items that wait: the consumer is given each
    later item directly (docs/decisions/0015-one-path.md). The `pace` limits how many events that
    are made for one subscriber are made in a second.

    Iterated, it yields the events one by one: so graphql-core reads it.
    """

    __slots__ = ("_pace", "read", "show")

    def __init__(
        self, read: Read, show: Callable[[Any], T] = lambda item: item, *, pace: Pace | None = None
    ) -> None:
        self.read = read
        self.show = show
        self._pace = pace

    @classmethod
    def of(cls, returned: Any) -> "Source[Any]":
        """Return what a field's function returned as a source; a generator becomes one."""
        return returned if isinstance(returned, Source) else Source(lambda _: _ones(returned))

    async def turn(self) -> None:
        """Wait until the next event that is made for one subscriber may be."""
        if self._pace is not None:
            await self._pace.turn()

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        """Yield the events, without end."""
        async with aclosing(self.read(None)) as batches:
            async for batch in batches:
                for item in batch:
                    await self.turn()
                    yield self.show(item)


async def _ones(events: AsyncGenerator[T, None]) -> AsyncGenerator[Iterable[T], None]:
    async with aclosing(events):
        async for event in events:
            yield (event,)
