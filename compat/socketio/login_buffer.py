"""Events that need a login and come before it: kept until the login, within bounds.

A Socket.IO library sends what was emitted during a cut as soon as it is connected again, before
the application's own connect handler can emit `auth:login`.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from compat.socketio.packets import StrictPacket

# A client that has not logged in may open many connections. So what the server keeps for such
# clients is bounded for each address and for the process too.
MAX_ADDRESS_BYTES = 8 * 1024 * 1024
MAX_PROCESS_BYTES = 64 * 1024 * 1024
# The memory that an event takes beside its text: a short event must not be nearly free.
EVENT_BYTES = 200


@dataclass(slots=True)
class BufferBudget:
    """The bounds of all login buffers of a process, and how much of them each address uses."""

    events: int  # of one connection
    size: int  # of one connection, in bytes
    seconds: float  # 0: nothing is kept
    address_size: int = MAX_ADDRESS_BYTES
    process_size: int = MAX_PROCESS_BYTES
    total: int = 0
    used: Counter[str] = field(default_factory=Counter)  # bytes, by address

    def reserve(self, address: str, size: int) -> bool:
        """Count so many bytes for the address; False if it, or the process, has no more room."""
        full = self.total + size > self.process_size
        if full or self.used[address] + size > self.address_size:
            return False
        self.total += size
        self.used[address] += size
        return True

    def release(self, address: str, size: int) -> None:
        """Count the bytes off."""
        self.total -= size
        self.used[address] -= size
        if not self.used[address]:
            del self.used[address]


class LoginBuffer:
    """The events that one connection sent before its login, in order.

    Kept as text: the objects that it stands for take twenty times the memory. `expire` is called
    once the first event has waited `budget.seconds`; from then on nothing is kept.
    """

    __slots__ = (
        "_address",
        "_budget",
        "_expire",
        "_items",
        "_size",
        "_timer",
        "admitted",
        "expired",
    )

    def __init__(self, budget: BufferBudget, address: str, expire: Callable[[], None]) -> None:
        self._budget = budget
        self._address = address
        self._expire = expire
        self._items: deque[tuple[bytes, ...]] = deque()
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self.admitted = False  # the login succeeded: the events may run
        self.expired = budget.seconds <= 0

    def put(self, received: StrictPacket) -> bool:
        """Keep an event; False when there is no room for it."""
        frames = (received.text.encode(), *received.attachments)
        size = _size(frames)
        budget = self._budget
        if len(self._items) >= budget.events or self._size + size > budget.size:
            return False
        if not budget.reserve(self._address, size):
            return False
        self._items.append(frames)
        self._size += size
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(budget.seconds, self._expire_now)
        return True

    def pop(self) -> StrictPacket | None:
        """Return the first event, read anew; None after the last."""
        if not self._items:
            return None
        header, *attachments = frames = self._items.popleft()
        size = _size(frames)
        self._size -= size
        self._budget.release(self._address, size)
        received = StrictPacket(encoded_packet=header.decode())
        for attachment in attachments:
            received.add_attachment(attachment)
        return received

    def clear(self) -> None:
        """Forget the events, and stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._budget.release(self._address, self._size)
        self._items.clear()
        self._size = 0

    def _expire_now(self) -> None:
        if not self.admitted:
            self.expired = True
            self._expire()


def _size(frames: tuple[bytes, ...]) -> int:
    return EVENT_BYTES + sum(map(len, frames))
