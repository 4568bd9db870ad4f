"""How many uploads may be under way: each takes of the disk, and of the descriptors."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from resolvers.errors import RateLimited

IN_ALL = 100


class UploadSlots:
    """How many uploads are under way: of one user, and in this process."""

    def __init__(self, *, per_user: int, in_all: int = IN_ALL) -> None:
        self._per_user = per_user
        self._in_all = in_all
        self._taken: Counter[int] = Counter()

    @contextmanager
    def take(self, user_id: int) -> Iterator[None]:
        """Hold a slot of the user's. Raises RateLimited."""
        if self._taken[user_id] >= self._per_user or self._taken.total() >= self._in_all:
            raise RateLimited(
                "Too many uploads at once; try again when one has ended", retry_after_ms=5000
            )
        self._taken[user_id] += 1
        try:
            yield
        finally:
            self._taken[user_id] -= 1
            if not self._taken[user_id]:
                del self._taken[user_id]
