"""How many connections may be open: from one address, and of one user.

Counted in this process alone: what they take, they take of it.
"""

from collections import Counter
from collections.abc import Callable

from resolvers.errors import RateLimited

# When another of one's connections may have ended: nobody knows.
RETRY_MS = 10_000


class ConnectionSlots:
    """The connections open in this process, by address and by user."""

    def __init__(self, *, per_address: int | None, per_user: int | None) -> None:
        self._per_address = per_address
        self._per_user = per_user
        self._open: Counter[str | int] = Counter()

    def has_room(self, address: str) -> bool:
        """Whether one more from the address may be opened."""
        return self._per_address is None or self._open[address] < self._per_address

    def hold_user(self, user_id: int) -> "Slot":
        """Count a connection of the user's within the block. Raises RateLimited on entering it."""
        return Slot(self, user_id, most=self._per_user)

    def count(self, key: str | int) -> Callable[[], None]:
        """Count a connection, and return what counts it off again."""
        slot = Slot(self, key, most=None)
        slot.__enter__()
        return slot.__exit__


class Slot:
    """One counted connection: each open one has two, so that they are kept small."""

    __slots__ = ("_key", "_most", "_slots")

    def __init__(self, slots: ConnectionSlots, key: str | int, *, most: int | None) -> None:
        self._slots = slots
        self._key = key
        self._most = most

    def __enter__(self) -> None:
        counts = self._slots._open
        if self._most is not None and counts[self._key] >= self._most:
            raise RateLimited("Too many connections of this user", retry_after_ms=RETRY_MS)
        counts[self._key] += 1

    def __exit__(self, *_: object) -> None:
        counts = self._slots._open
        counts[self._key] -= 1
        if not counts[self._key]:
            del counts[self._key]
