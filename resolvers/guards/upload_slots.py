"""How many uploads may be under way: each takes of the disk, and of the descriptors."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from resolvers.errors import RateLimited

K = TypeVar("K")

IN_ALL = 100


class UploadSlots:
    """How many uploads are under way: of one user, from one address, and in this process.

    Without `per_address` (LIMITS=off) an address has as many as there are.
    """

    def __init__(
        self, *, per_user: int, per_address: int | None = None, in_all: int = IN_ALL
    ) -> None:
        self._per_user = per_user
        self._per_address = in_all if per_address is None else min(per_address, in_all)
        self._in_all = in_all
        self._users: Counter[int] = Counter()
        self._addresses: Counter[str] = Counter()
        self._taken = 0

    @contextmanager
    def take(self, user_id: int, address: str = "") -> Iterator[None]:
        """Hold a slot of the user's, and of the address where that is known. Raises RateLimited."""
        if self._users[user_id] >= self._per_user:
            raise _refusal("Too many uploads at once", "MAX_UPLOADS_AT_ONCE")
        if address and self._addresses[address] >= self._per_address:
            raise _refusal("Too many uploads at once from this address", "MAX_UPLOADS_PER_ADDRESS")
        if self._taken >= self._in_all:
            raise _refusal("The server has too many uploads at once")
        self._users[user_id] += 1
        self._addresses[address] += 1
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
            _give_back(self._users, user_id)
            _give_back(self._addresses, address)

    def __len__(self) -> int:
        return self._taken


def _give_back(taken: Counter[K], key: K) -> None:
    taken[key] -= 1
    if not taken[key]:
        del taken[key]  # else every user of a year would have a line here


def _refusal(what: str, setting: str = "") -> RateLimited:
    return RateLimited(
        f"{what}; try again when one has ended", retry_after_ms=5000, setting=setting
    )
