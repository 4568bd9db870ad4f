"""What waits for one client."""

import asyncio
from collections import deque

from compat.packets import EncodedEvent


class Outbox:
    """A queue bounded in messages and in bytes; putting more than that is refused."""

    def __init__(self, messages: int, size: int) -> None:
        self._most = (messages, size)
        self._messages_left, self._bytes_left = messages, size
        self._items: deque[EncodedEvent] = deque()
        self.room = asyncio.Event()  # set while it is at most half full
        self.room.set()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: EncodedEvent) -> bool:
        # An empty queue takes anything: what is too large for it could never be sent.
        if self._items and (self._messages_left < 1 or self._bytes_left < item.size):
            return False
        self._items.append(item)
        self._count(-1, -item.size)
        return True

    def take(self) -> EncodedEvent | None:
        if not self._items:
            return None
        item = self._items.popleft()
        self._count(1, item.size)
        return item

    def _count(self, messages: int, size: int) -> None:
        self._messages_left += messages
        self._bytes_left += size
        if self._messages_left * 2 >= self._most[0] and self._bytes_left * 2 >= self._most[1]:
            self.room.set()
        else:
            self.room.clear()
