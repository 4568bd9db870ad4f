"""Who has blocked whom: kept in memory, since each message looks at it."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from resolvers.guards.kept_set import KeptSet

# Called with two people, and whether they are apart from now on.
Listener = Callable[[int, int, bool], None]


class BlockedPairs(KeptSet[tuple[int, int]]):
    """Pairs of a blocker and a blocked. Two people are apart while either has blocked the other."""

    def __init__(self) -> None:
        super().__init__()
        self._apart: dict[int, set[int]] = {}  # in both directions
        self._listeners: list[Listener] = []

    @property
    def apart(self) -> Mapping[int, Collection[int]]:
        """By user, those from whom they are kept apart: a live view, empty without any block."""
        return self._apart

    def apart_from(self, user_id: int) -> Collection[int]:
        """Return from whom this user is kept apart."""
        return self._apart.get(user_id, ())

    def are_apart(self, one: int, other: int) -> bool:
        """Whether either of the two has blocked the other."""
        return other in self._apart.get(one, ())

    def has_blocked(self, blocker_id: int, blocked_id: int) -> bool:
        """Whether the one has blocked the other."""
        return (blocker_id, blocked_id) in self.keys

    def listen(self, listener: Listener) -> None:
        """Call the listener whenever two people come to be apart, or no longer are."""
        self._listeners.append(listener)

    def changed(self, pair: tuple[int, int], there: bool, at: datetime) -> None:
        one, other = pair
        if (other, one) in self.keys and one != other:
            return  # they were apart, and still are
        for user_id, from_id in (pair, (other, one)):
            if there:
                self._apart.setdefault(user_id, set()).add(from_id)
            elif user_id in self._apart:
                self._apart[user_id].discard(from_id)
                if not self._apart[user_id]:
                    del self._apart[user_id]
        for listener in self._listeners:
            listener(one, other, there)
