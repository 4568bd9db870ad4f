"""The queue of one client."""

import asyncio
from collections import deque

from compat.socketio.packets import EncodedEvent

# Shared by all queues that have room: an idle connection needs no event of its own.
_ROOM = asyncio.Event()
_ROOM.set()


class Outbox:
    """A queue bounded in messages and in bytes; `put` refuses more."""

    def __init__(self, messages: int, size: int) -> None:
        self._most = (messages, size)
        self._messages_left, self._bytes_left = messages, size
        self._items: deque[EncodedEvent] | None = None  # none while it is empty
        self.room = _ROOM  # set while it is at most half full

    def __len__(self) -> int:
        return 0 if self._items is None else len(self._items)

    def put(self, item: EncodedEvent) -> bool:
        # An empty queue takes anything: what is too large for it could never be sent.
        if self._items and (self._messages_left < 1 or self._bytes_left < item.size):
            return False
        if self._items is None:
            self._items = deque()
        self._items.append(item)
        self._count(-1, -item.size)
        return True

    def pop(self) -> EncodedEvent | None:
        if not self._items:
            return None
        item = self._items.popleft()
        if not self._items:
            self._items = None
        self._count(1, item.size)
        return item

    def _count(self, messages: int, size: int) -> None:
        self._messages_left += messages
        self._bytes_left += size
        if self._messages_left * 2 >= self._most[0] and self._bytes_left * 2 >= self._most[1]:
            self.room.set()
        elif self.room.is_set():
            self.room = asyncio.Event()
