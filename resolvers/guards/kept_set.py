"""A set of what the database has stored, kept in memory for those who look at it all the time."""

from collections.abc import Collection, Hashable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class KeptSet(Generic[K]):
    """A copy as of the position of the log that this process has applied.

    It is loaded at the start (resolvers/people/kept.py), and moved on by facts.
    """

    def __init__(self) -> None:
        self._keys: set[K] = set()
        self._put_meanwhile: set[K] | None = None

    @property
    def keys(self) -> Collection[K]:
        """What is in the set: a live view."""
        return self._keys

    def put(self, key: K, there: bool, at: datetime | None = None) -> None:
        """Note whether the key is in the set, since `at`."""
        self.note(key)
        if (key in self._keys) is not there:
            (self._keys.add if there else self._keys.discard)(key)
            self.changed(key, there, at or datetime.now(UTC))

    def note(self, key: K) -> None:
        """Have what is known of the key prevail over what is being read."""
        if self._put_meanwhile is not None:
            self._put_meanwhile.add(key)

    def changed(self, key: K, there: bool, at: datetime) -> None:
        """Called when a key has come into the set, or has left it."""

    @contextmanager
    def loading(self) -> Iterator[set[K]]:
        """Lend a set to fill with all that is stored, and replace what is known at the end.

        What is put meanwhile is later than what is read, and prevails.
        """
        later: set[K] = set()
        self._put_meanwhile = later
        found: set[K] = set()
        try:
            yield found
        finally:
            self._put_meanwhile = None
        for key in (self._keys ^ found) - later:
            self.put(key, key in found)
