"""Who has blocked whom, as this process knows it: looked at for each message, asks nobody."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager

# Called with two people, and whether they are apart from now on.
Listener = Callable[[int, int, bool], None]


class BlockedPairs:
    """A copy of the table `blocks`, which `resolvers.blocks` keeps true.

    Two people are apart while either has blocked the other.
    """

    def __init__(self) -> None:
        self._blocked: dict[int, set[int]] = {}  # by who has blocked them
        self._apart: dict[int, set[int]] = {}  # both ways
        self._listeners: list[Listener] = []
        self._locks: dict[int, tuple[asyncio.Lock, list[None]]] = {}
        self._doubtful: dict[tuple[int, int], None] = {}
        self._doubted = asyncio.Event()

    @property
    def apart(self) -> Mapping[int, Collection[int]]:
        """From whom each is kept apart, live; empty while nobody has blocked anybody."""
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
        """Call the listener whenever two people come to be apart, or cease to be."""
        self._listeners.append(listener)

    def put(self, blocker_id: int, blocked_id: int, there: bool) -> None:
        """Take over whether the one has blocked the other."""
        were_apart = self.are_apart(blocker_id, blocked_id)
        _put(self._blocked, blocker_id, blocked_id, there)
        apart = there or self.has_blocked(blocked_id, blocker_id)
        if apart == were_apart:
            return
        _put(self._apart, blocker_id, blocked_id, apart)
        _put(self._apart, blocked_id, blocker_id, apart)
        for listener in self._listeners:
            listener(blocker_id, blocked_id, apart)

    @asynccontextmanager
    async def changing(self, blocker_id: int) -> AsyncIterator[None]:
        """Let one at a time change this user's blocks, and take over what came of it."""
        lock, users = self._locks.setdefault(blocker_id, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                del self._locks[blocker_id]

    def doubt(self, blocker_id: int, blocked_id: int) -> None:
        """Note that another process may have changed this."""
        self._doubtful[blocker_id, blocked_id] = None
        self._doubted.set()

    async def next_doubtful(self) -> tuple[int, int]:
        """Return what was noted first, as soon as there is anything; it is noted no more."""
        while not self._doubtful:
            self._doubted.clear()
            await self._doubted.wait()
        pair = next(iter(self._doubtful))
        del self._doubtful[pair]
        return pair


def _put(sets: dict[int, set[int]], key: int, member: int, there: bool) -> None:
    if there:
        sets.setdefault(key, set()).add(member)
    elif key in sets:
        sets[key].discard(member)
        if not sets[key]:
            del sets[key]
