"""Source streams: what the function of a subscription's field returns."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from events.slices import Pace
from events.subscription import Front

T = TypeVar("T")

# Of a front, where there is one: what comes, in batches, perhaps of one item each.
Read = Callable[[Front | None], AsyncGenerator[Iterable[Any], None]]


class Source(Generic[T]):
    """The events of one subscription.

    `read` yields batches of items, and `show` makes an item the event that the field's type says. A
    `read` that is given a front may end as soon as all there was has been read: from then on the
    front is given each item as it comes, and no reader waits (docs/decisions/0015-one-path.md).
    Events that have to be made for each subscriber apart take turns by the `pace`, if there is one.

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
        """Return what a field's function returned as a source; a mere generator becomes one."""
        return returned if isinstance(returned, Source) else Source(lambda front: _ones(returned))

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
