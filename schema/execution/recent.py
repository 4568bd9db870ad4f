"""Caches of what was made of the latest objects, for many who need it at about the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

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


class RecentTasks(Generic[K, V]):
    """The same for values that a coroutine makes: all who ask wait for one task."""

    def __init__(
        self, make: Callable[..., Coroutine[Any, Any, V]], *, recent: int = RECENT
    ) -> None:
        self._make = make
        self._tasks: RecentCache[K, asyncio.Task[V]] = RecentCache(self._start, recent=recent)

    async def of(self, key: K, *arguments: object) -> V:
        """Return what was made of this object, or make it. Raises what making it raises."""
        return await asyncio.shield(self._tasks.of(key, *arguments))

    def _start(self, key: K, *arguments: object) -> asyncio.Task[V]:
        task = asyncio.create_task(self._make(key, *arguments))
        # Those who wait are told of a failure. If nobody waits, asyncio would log it.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task
