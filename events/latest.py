"""The latest change of each user's presence, kept once for all watches."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Self

from events.facts import PresenceChanged

# A watch reads, and sends, at most so many changes at once.
MOST_AT_ONCE = 500
# A replaced change leaves a hole. Holes are closed when they are more than this and than the
# changes: a watch that never reads must not make the list grow.
MOST_HOLES = 1000


class LatestChanges:
    """Changes in order; a later change of a user replaces the earlier one.

    A watch is a position in this list. The list holds one change for each user, and one for each
    pair of users whom a block parted or joined, however many watches there are and however slowly
    they read.
    """

    def __init__(self) -> None:
        self.position = 0  # of the last change
        self._start = 0  # the position before the first change of the row
        self._row: list[PresenceChanged | None] = []
        self._of: dict[tuple[int, int | None], int] = {}  # where the latest of each is
        self._private = 0  # changes that are for one person
        self._read: dict[int, tuple[Sequence[PresenceChanged], int]] = {}  # until a change comes

    def __len__(self) -> int:
        return len(self._of)

    def add(self, change: PresenceChanged) -> None:
        """Append a change, in place of an earlier one of the same user to the same people."""
        key = (change.user_id, change.seen_by)
        before = self._of.get(key)
        if before is not None:
            self._row[before - self._start - 1] = None
        elif change.seen_by is not None:
            self._private += 1
        self._row.append(change)
        self.position += 1
        self._of[key] = self.position
        self._read.clear()

    def read(self, position: int) -> tuple[Sequence[PresenceChanged], int]:
        """Return the first changes past the position, and the position of the last of them.

        All who ask from one position get one sequence, so that they can share what is made of it.
        """
        known = self._read.get(position)
        if known is None:
            found: list[PresenceChanged] = []
            index = max(0, position - self._start)
            while index < len(self._row) and len(found) < MOST_AT_ONCE:
                change = self._row[index]
                if change is not None:
                    found.append(change)
                index += 1
            known = self._read[position] = (tuple(found), self._start + index)
        return known

    def forget(self, position: int) -> None:
        """Drop the changes up to the position: every watch has read them."""
        count = position - self._start
        if count <= 0:
            return
        for change in self._row[:count]:
            if change is not None:
                del self._of[change.user_id, change.seen_by]
                self._private -= change.seen_by is not None
        del self._row[:count]
        self._start = position
        self._read.clear()

    def has(self, user_id: int) -> bool:
        """Whether there is a change of the user that some watch may not have read."""
        return (user_id, None) in self._of

    @property
    def has_private(self) -> bool:
        """Whether some of the changes are for one person."""
        return self._private > 0

    @property
    def has_many_holes(self) -> bool:
        """Whether `close_holes` is due."""
        return len(self._row) > 2 * len(self._of) + MOST_HOLES

    def close_holes(self) -> Callable[[int], int]:
        """Move the changes together; return a function from an old position to the new one."""
        numbered = enumerate(self._row, self._start + 1)
        kept = [(position, change) for position, change in numbered if change is not None]
        before = [position for position, _ in kept]
        self._start = start = self.position - len(kept)
        self._row = [change for _, change in kept]
        self._of = {
            (change.user_id, change.seen_by): position
            for position, (_, change) in enumerate(kept, start + 1)
        }
        self._read.clear()
        return lambda position: start + bisect_right(before, position)


class Watch:
    """A viewer's position among the changes. Leaving the `with` block ends it.

    `shown` picks the changes that the viewer may see now. `only` names the users that are watched.
    A watch holds nothing but its position, so that a slow reader need not be cut off.
    """

    __slots__ = ("_changes", "_leave", "_reader", "_shown", "only", "position", "viewer_id")

    def __init__(
        self,
        changes: LatestChanges,
        viewer_id: int,
        *,
        shown: Callable[["Watch", Sequence[PresenceChanged]], Sequence[PresenceChanged]],
        leave: Callable[["Watch"], None],
        only: Collection[int] | None = None,
    ) -> None:
        self.viewer_id = viewer_id
        self.only = None if only is None else frozenset(only)
        self.position = changes.position
        self._changes = changes
        self._shown = shown
        self._leave = leave
        self._reader: asyncio.Future[None] | None = None  # while it waits

    def wake(self) -> None:
        """Have a waiting reader read the changes there are."""
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def pass_by(self, before: int, user_ids: Collection[int]) -> bool:
        """Count the changes since `before`, which are of these users, as read if none is watched.

        Return whether it did.
        """
        if self.only is None or self.position < before or not self.only.isdisjoint(user_ids):
            return False
        self.position = self._changes.position
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(self)

    async def __aiter__(self) -> AsyncIterator[Sequence[PresenceChanged]]:
        """Yield the changes that wait, in order, at each `wake`; without end."""
        while True:
            while self.position < self._changes.position:
                changes, self.position = self._changes.read(self.position)
                if shown := self._shown(self, changes):
                    yield shown
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
