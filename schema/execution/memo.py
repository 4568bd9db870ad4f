"""What is made once for many who need it at about the same time."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

# A batch of the log, twice: subscribers read it one after the other, each from its beginning.
RECENT = 512


class Memo(Generic[K, V]):
    """Remembers what was made of each of the latest objects, which are told apart by identity.

    It remembers at most `recent` of them. When it is full it forgets the older half: that costs
    less for each object than a queue of all objects would.
    """

    def __init__(self, make: Callable[..., V], *, recent: int = RECENT) -> None:
        self._make = make
        self._half = recent // 2
        # The object is kept with its value: its identity cannot become another's.
        self._made: dict[int, tuple[K, V]] = {}
        self._before: dict[int, tuple[K, V]] = {}

    def of(self, key: K, *with_: object) -> V:
        """Return what was made of this object, or make it now (with what else that takes)."""
        known = self._made.get(id(key)) or self._before.get(id(key))
        if known is not None:
            return known[1]
        made = self._make(key, *with_)
        if len(self._made) >= self._half:
            self._before, self._made = self._made, {}
        self._made[id(key)] = (key, made)
        return made
