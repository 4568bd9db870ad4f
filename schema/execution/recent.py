"""A cache of what was made of the latest objects, for many who need it at about the same time."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

# Two batches of the log: subscribers read a batch one after the other, each from its beginning.
RECENT = 512


class RecentCache(Generic[K, V]):
    """Keeps what was made of each of the latest objects, which are told apart by identity.

    It keeps at most `recent` values. When it is full it forgets the older half: that costs less for
    each object than moving single objects through a queue would.
    """

    def __init__(self, make: Callable[..., V], *, recent: int = RECENT) -> None:
        self._make = make
        self._half = recent // 2
        # The key is kept with its value: while it lives, no other object gets its identity.
        self._newer: dict[int, tuple[K, V]] = {}
        self._older: dict[int, tuple[K, V]] = {}

    def of(self, key: K, *arguments: object) -> V:
        """Return what was made of this object; if nothing was, make it now, with the arguments."""
        known = self._newer.get(id(key)) or self._older.get(id(key))
        if known is not None:
            return known[1]
        made = self._make(key, *arguments)
        if len(self._newer) >= self._half:
            self._older, self._newer = self._newer, {}
        self._newer[id(key)] = (key, made)
        return made
