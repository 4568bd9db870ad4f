"""Events that need a login and come before it: kept until the login, within bounds.

A Socket.IO library sends what was emitted during a cut as soon as it is connected again, before
the application's own connect handler can emit `auth:login`.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from compat.socketio.packets import StrictPacket

# Clients who have not logged in are nobody: what they make the server keep is bounded for all
# connections of an address, and for the process, whatever one connection may have.
MAX_ADDRESS_BYTES = 8 * 1024 * 1024
MAX_PROCESS_BYTES = 64 * 1024 * 1024
# What an event takes beside its text: a short one must not be nearly free.
EVENT_BYTES = 200


@dataclass(slots=True)
class Hold:
    """The bounds, and how much is held of each address; shared by the connections of a process."""

    events: int  # of one connection, as `size` is
    size: int
    seconds: float  # 0: nothing is held
    address_size: int = MAX_ADDRESS_BYTES
    process_size: int = MAX_PROCESS_BYTES
    total: int = 0
    taken: Counter[str] = field(default_factory=Counter)  # bytes, by address

    def reserve(self, address: str, size: int) -> bool:
        """Count so many bytes for the address; False if it, or the process, has no more room."""
        full = self.total + size > self.process_size
        if full or self.taken[address] + size > self.address_size:
            return False
        self.total += size
        self.taken[address] += size
        return True

    def release(self, address: str, size: int) -> None:
        """Count them off."""
        self.total -= size
        self.taken[address] -= size
        if not self.taken[address]:
            del self.taken[address]


class HeldEvents:
    """What one connection sent before its login, in order.

    Kept as text, not as the objects it stands for, which take twenty times the memory. `expire` is
    called once the first event has waited `hold.seconds`; from then on nothing is held.
    """

    __slots__ = ("_address", "_expire", "_hold", "_items", "_size", "_timer", "admitted", "expired")

    def __init__(self, hold: Hold, address: str, expire: Callable[[], None]) -> None:
        self._hold = hold
        self._address = address
        self._expire = expire
        self._items: deque[tuple[bytes, ...]] = deque()
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self.admitted = False  # the login succeeded: what is held may run
        self.expired = hold.seconds <= 0

    def put(self, received: StrictPacket) -> bool:
        """Keep an event; False when there is no room for it."""
        frames = (received.text.encode(), *received.attachments)
        size = _size(frames)
        hold = self._hold
        if len(self._items) >= hold.events or self._size + size > hold.size:
            return False
        if not hold.reserve(self._address, size):
            return False
        self._items.append(frames)
        self._size += size
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(hold.seconds, self._end_patience)
        return True

    def take(self) -> StrictPacket | None:
        """Return the first event, read anew; None after the last."""
        if not self._items:
            return None
        header, *attachments = frames = self._items.popleft()
        size = _size(frames)
        self._size -= size
        self._hold.release(self._address, size)
        received = StrictPacket(encoded_packet=header.decode())
        for attachment in attachments:
            received.add_attachment(attachment)
        return received

    def clear(self) -> None:
        """Forget what is held, and wait no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._hold.release(self._address, self._size)
        self._items.clear()
        self._size = 0

    def _end_patience(self) -> None:
        if not self.admitted:
            self.expired = True
            self._expire()


def _size(frames: tuple[bytes, ...]) -> int:
    return EVENT_BYTES + sum(map(len, frames))
