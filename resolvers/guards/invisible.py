"""Who is invisible: kept in memory, since presence looks at it for every connection."""

from collections.abc import Callable, Collection
from datetime import datetime

from resolvers.guards.kept_set import KeptSet

# Called with a user, whether the user is invisible from now on, and since when.
Listener = Callable[[int, bool, datetime], None]


class Invisible(KeptSet[int]):
    """The ids of those who are shown offline."""

    def __init__(self) -> None:
        super().__init__()
        self._listeners: list[Listener] = []

    @property
    def ids(self) -> Collection[int]:
        """The ids: a live view."""
        return self.keys

    def listen(self, listener: Listener) -> None:
        """Call the listener whenever somebody becomes invisible, or visible again."""
        self._listeners.append(listener)

    def changed(self, user_id: int, invisible: bool, at: datetime) -> None:
        for listener in self._listeners:
            listener(user_id, invisible, at)

    def forget(self, user_id: int) -> None:
        """Forget a user whose account was deleted, and whose connections end."""
        self.note(user_id)
        self._keys.discard(user_id)
