"""What came and was not yet looked at: a test waits for a message, it never sleeps."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Keeps everything, so that what came before it was waited for is not missed."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self._changed = asyncio.Event()

    def put(self, item: T) -> None:
        """Add an item."""
        self.items.append(item)
        self._changed.set()

    async def expect(self, wanted: Callable[[T], bool], seconds: float = 10) -> T:
        """Return the first item that is wanted, now or as soon as it comes."""
        return (await self.expect_many(wanted, 1, seconds))[0]

    async def expect_many(
        self, wanted: Callable[[T], bool], number: int, seconds: float = 10
    ) -> list[T]:
        """Return the wanted items as soon as there are so many."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self._changed.clear()
                    found = [item for item in self.items if wanted(item)]
                    if len(found) >= number:
                        return found
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"waited {seconds} s in vain; there are {self.items}") from None
