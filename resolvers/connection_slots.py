"""How many connections may be open: from one address, and of one user.

Counted in this process alone: what they take, they take of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

    @contextmanager
    def hold_user(self, user_id: int) -> Iterator[None]:
        """Count a connection of the user's. Raises RateLimited."""
        if self._per_user is not None and self._open[user_id] >= self._per_user:
            raise RateLimited("Too many connections of this user", retry_after_ms=RETRY_MS)
        leave = self.count(user_id)
        try:
            yield
        finally:
            leave()

    def count(self, key: str | int) -> Callable[[], None]:
        """Count a connection, and return what counts it off again."""
        self._open[key] += 1

        def leave() -> None:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

        return leave
