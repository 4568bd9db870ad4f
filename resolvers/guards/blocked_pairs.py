"""Who has blocked whom: kept in memory, since each message looks at it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

# Called with two people, and whether they are apart from now on.
Listener = Callable[[int, int, bool], None]


class BlockedPairs:
    """A copy of the table `blocks` as of the position of the log that this process has applied.

    Two people are apart while either has blocked the other.
    """

    def __init__(self) -> None:
        self._blocked: dict[int, set[int]] = {}  # by the user who has blocked them
        self._apart: dict[int, set[int]] = {}  # in both directions
        self._listeners: list[Listener] = []
        self._put_meanwhile: dict[tuple[int, int], None] | None = None

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
        return blocked_id in self._blocked.get(blocker_id, ())

    def listen(self, listener: Listener) -> None:
        """Call the listener whenever two people come to be apart, or no longer are."""
        self._listeners.append(listener)

    def put(self, blocker_id: int, blocked_id: int, there: bool) -> None:
        """Note whether the one has blocked the other."""
        if self._put_meanwhile is not None:
            self._put_meanwhile[blocker_id, blocked_id] = None
        were_apart = self.are_apart(blocker_id, blocked_id)
        _put(self._blocked, blocker_id, blocked_id, there)
        apart = there or self.has_blocked(blocked_id, blocker_id)
        if apart == were_apart:
            return
        _put(self._apart, blocker_id, blocked_id, apart)
        _put(self._apart, blocked_id, blocker_id, apart)
        for listener in self._listeners:
            listener(blocker_id, blocked_id, apart)

    @contextmanager
    def loading(self) -> Iterator[set[tuple[int, int]]]:
        """Lend a set to fill with all stored pairs, and replace the known ones at the end.

        A pair that is put meanwhile is later than the ones that are read, and prevails.
        """
        later: dict[tuple[int, int], None] = {}
        self._put_meanwhile = later
        found: set[tuple[int, int]] = set()
        try:
            yield found
        finally:
            self._put_meanwhile = None
        known = {(blocker, id_) for blocker, ids in self._blocked.items() for id_ in ids}
        for pair in known ^ found:
            if pair not in later:
                self.put(*pair, pair in found)


def _put(sets: dict[int, set[int]], key: int, member: int, there: bool) -> None:
    if there:
        sets.setdefault(key, set()).add(member)
    elif key in sets:
        sets[key].discard(member)
        if not sets[key]:
            del sets[key]
