"""Work of many connections at the same moment, spread over the turns of the event loop."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

logger = logging.getLogger("parley.server")

# So many connections begin, or end, before all others get the loop: a few milliseconds of work. The
# number is fixed: on a busy machine a measured time would leave one connection for each turn.
AT_ONCE = 12
# After so many turns the tasks that these connections have woken have run.
TURNS = 3

T = TypeVar("T")


class Crowd:
    """Calls what is added at once, while that is little; in its turn, when much is added."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._room = AT_ONCE
        self._task: asyncio.Task[None] | None = None

    def add(self, work: Callable[[], None]) -> None:
        """Have it called, once; what is added later is called later."""
        if not self._room or self._waiting:
            self._waiting.append(work)
            return
        self._room -= 1
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work(), name="crowd")
        work()

    async def _work(self) -> None:
        try:
            while self._room < AT_ONCE:  # something was called since the last look
                for _ in range(TURNS):
                    await asyncio.sleep(0)
                self._room = AT_ONCE
                while self._waiting and self._room:
                    self._room -= 1
                    _call(self._waiting.popleft())
        finally:
            self._task = None


class Flusher:
    """Flushes what was written in one turn of the loop at the end of the next one.

    A broadcast to thousands of connections asks the loop for two callbacks, not for two each.
    """

    def __init__(self) -> None:
        self._flushes: list[Callable[[], None]] = []

    def add(self, flush: Callable[[], None]) -> None:
        """Have it called, once."""
        if not self._flushes:
            asyncio.get_running_loop().call_soon(self._wait)
        self._flushes.append(flush)

    def _wait(self) -> None:
        flushes, self._flushes = self._flushes, []
        asyncio.get_running_loop().call_soon(_call, *flushes)


def _call(*works: Callable[[], None]) -> None:
    for work in works:
        try:
            work()
        except Exception:  # the trouble of one connection must not be that of the next ones
            logger.exception("A connection could not be begun, ended, or written to")


class PerLoop(Generic[T]):
    """Gives each event loop an object of its own."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    def __call__(self, loop: asyncio.AbstractEventLoop) -> T:
        """Return that of this loop."""
        if loop not in self._made:
            self._made[loop] = self._make()
        return self._made[loop]


# The connections that begin and those that end: neither crowd waits for the other.
coming_of = PerLoop(Crowd)
going_of = PerLoop(Crowd)
flusher_of = PerLoop(Flusher)
