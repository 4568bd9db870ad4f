"""Who is invisible: kept in memory, since presence looks at it for every connection."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

# Called with a user, whether the user is invisible from now on, and since when.
Listener = Callable[[int, bool, datetime], None]


class Invisible:
    """The ids of those who are shown offline, as of the position that this process has applied."""

    def __init__(self) -> None:
        self._ids: set[int] = set()
        self._listeners: list[Listener] = []
        self._put_meanwhile: set[int] | None = None

    @property
    def ids(self) -> Collection[int]:
        """The ids: a live view."""
        return self._ids

    def listen(self, listener: Listener) -> None:
        """Call the listener whenever somebody becomes invisible, or visible again."""
        self._listeners.append(listener)

    def put(self, user_id: int, invisible: bool, at: datetime) -> None:
        """Note whether the user is invisible."""
        if self._put_meanwhile is not None:
            self._put_meanwhile.add(user_id)
        if (user_id in self._ids) is invisible:
            return
        (self._ids.add if invisible else self._ids.discard)(user_id)
        for listener in self._listeners:
            listener(user_id, invisible, at)

    def forget(self, user_id: int) -> None:
        """Forget a user whose account was deleted, and whose connections end."""
        if self._put_meanwhile is not None:
            self._put_meanwhile.add(user_id)
        self._ids.discard(user_id)

    @contextmanager
    def loading(self) -> Iterator[set[int]]:
        """Lend a set to fill with all who are stored as invisible, and replace the known ones.

        What is put meanwhile is later than what is read, and prevails.
        """
        later: set[int] = set()
        self._put_meanwhile = later
        found: set[int] = set()
        try:
            yield found
        finally:
            self._put_meanwhile = None
        for user_id in (self._ids ^ found) - later:
            self.put(user_id, user_id in found, datetime.now(UTC))
