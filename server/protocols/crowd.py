"""Work for a crowd of connections that come, or go, at the same moment: some in each turn."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

logger = logging.getLogger("parley.server")

# So many connections begin, or end, before all others get the loop: a few milliseconds of work. The
# number is fixed: on a busy machine a measured time would leave one connection for each turn.
AT_ONCE = 12
# What these have begun is over after so many turns: the tasks that were woken have run.
TURNS = 3


class Crowd:
    """Calls what is added at once, while that is little; in its turn, when much is added."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._room = AT_ONCE
        self._task: asyncio.Task[None] | None = None

    def add(self, work: Callable[[], None]) -> None:
        """Have it called, once; what is added later is called later."""
        if self._room and not self._waiting:
            self._room -= 1
            if self._task is None:
                self._begin()
            work()
        else:
            self._waiting.append(work)

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work(), name="crowd")

    async def _work(self) -> None:
        try:
            while self._room < AT_ONCE:  # something was called since the last look
                for _ in range(TURNS):
                    await asyncio.sleep(0)
                self._room = AT_ONCE
                while self._waiting and self._room:
                    self._room -= 1
                    try:
                        self._waiting.popleft()()
                    except Exception:  # one connection's trouble, not that of those after it
                        logger.exception("A connection could not be begun or ended")
        finally:
            self._task = None


class Crowds:
    """Those who come and those who go: neither waits for the other."""

    def __init__(self) -> None:
        self.coming, self.going = Crowd(), Crowd()


_crowds: WeakKeyDictionary[asyncio.AbstractEventLoop, Crowds] = WeakKeyDictionary()


def crowds_of(loop: asyncio.AbstractEventLoop) -> Crowds:
    """Return the crowds of this event loop; each loop has its own."""
    crowds = _crowds.get(loop)
    if crowds is None:
        crowds = _crowds[loop] = Crowds()
    return crowds
