"""What one WebSocket's application has not received yet."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """As asyncio.Queue for one reader, at a tenth of its size: each idle connection has one."""

    __slots__ = ("_items", "_reader")

    def __init__(self) -> None:
        self._items: deque[T] | None = None  # none while it is empty
        self._reader: asyncio.Future[None] | None = None

    def put_nowait(self, item: T) -> None:
        """Add an item; wake the reader."""
        if self._items is None:
            self._items = deque()
        self._items.append(item)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> T:
        """Return the first item, once there is one."""
        while self._items is None:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        item = self._items.popleft()
        if not self._items:
            self._items = None
        return item

    def qsize(self) -> int:
        """Return how many items wait."""
        return 0 if self._items is None else len(self._items)

    def empty(self) -> bool:
        """Whether none waits."""
        return self._items is None
