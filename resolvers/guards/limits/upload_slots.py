"""How many uploads may be under way: each needs room on the disk, and descriptors."""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from resolvers.errors import RateLimited

IN_ALL = 100


class UploadSlots:
    """How many uploads are under way: of one user, from one address, and in this process.

    Without `per_address` (LIMITS=off) an address has as many as there are.
    """

    def __init__(
        self, *, per_user: int, per_address: int | None = None, in_all: int = IN_ALL
    ) -> None:
        self._per_user = per_user
        self._per_address = in_all if per_address is None else per_address
        self._in_all = in_all
        # By user id, by address, and under None all uploads of the process.
        self._held: Counter[Hashable] = Counter()

    @property
    def open(self) -> int:
        """How many uploads are under way."""
        return self._held[None]

    @contextmanager
    def hold(self, user_id: int, address: str = "") -> Iterator[None]:
        """Hold a slot of the user's, and of the address where that is known. Raises RateLimited."""
        held = self._held
        if held[user_id] >= self._per_user:
            raise _refusal("Too many uploads at once", "MAX_UPLOADS_AT_ONCE")
        if address and held[address] >= self._per_address:
            raise _refusal("Too many uploads at once from this address", "MAX_UPLOADS_PER_ADDRESS")
        if held[None] >= self._in_all:
            raise _refusal("The server has too many uploads at once")
        keys = (user_id, address, None)
        held.update(keys)
        try:
            yield
        finally:
            held.subtract(keys)
            for key in keys:
                if not held[key]:
                    del held[key]  # else every user of a year would have a line here


def _refusal(what: str, setting: str = "") -> RateLimited:
    return RateLimited(
        f"{what}; try again when one has ended", retry_after_ms=5000, setting=setting
    )
