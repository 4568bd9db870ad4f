"""Whose file is inspected next: the places are shared between people, not between files.

Somebody has one place at most while others wait. Among those who wait, the person comes first whose
files, and whose address's files, took the least time lately. A file that takes long gives up its
place after a while and goes on beside the places, so that slow files never hold all of them.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice

# After this time a file makes room for the files of others that wait.
PATIENCE_SECONDS = 2.0
# Each file counts at least this much, so that people with many quick files take turns too.
LEAST_SECONDS = 0.05
# In this time, half of the time that somebody's files took is forgotten.
HALF_LIFE_SECONDS = 60.0
# Less than this counts as nothing.
NEGLIGIBLE_SECONDS = 0.01


@dataclass(eq=False, slots=True)
class _Turn:
    """A file that waits, or that is being inspected since `began`."""

    owner: str
    address: str
    granted: asyncio.Future[None] = field(repr=False)
    began: float = 0.0
    slow: bool = False


class Turns:
    """Hands out `places`; beside them at most `places + 1` slow files go on."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._waiting: list[_Turn] = []  # bounded by the uploads that may be under way
        self._looking: list[_Turn] = []
        self._spent = Spent()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def taken(self) -> int:
        """How many files are being inspected."""
        return len(self._looking)

    @property
    def waiting(self) -> int:
        """How many files wait for a place."""
        return len(self._waiting)

    @asynccontextmanager
    async def hold(self, owner: str, address: str) -> AsyncIterator[None]:
        """Wait for a place, and hold it while the block lasts."""
        loop = asyncio.get_running_loop()
        turn = _Turn(owner, address, loop.create_future())
        self._waiting.append(turn)
        self._share_out()
        try:
            await turn.granted
            yield
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:
                self._looking.remove(turn)
                now = loop.time()
                for key in _keys(turn):
                    self._spent.add(key, max(LEAST_SECONDS, now - turn.began), now)
            self._share_out()

    def _share_out(self) -> None:
        """Give free places to turns that wait; have slow files give up theirs."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = asyncio.get_running_loop().time()
        while (turn := self._next(now)) is not None:
            held = [other for other in self._looking if not other.slow]
            if len(held) >= self._places and not self._make_room(held, now):
                return
            self._waiting.remove(turn)
            self._looking.append(turn)
            turn.began = now
            if not turn.granted.done():  # else it was cancelled, and gives the place back
                turn.granted.set_result(None)

    def _next(self, now: float) -> _Turn | None:
        """Return the turn that comes next; None where nobody may have a place."""
        running = Counter(turn.owner for turn in self._looking)
        slow = {turn.owner for turn in self._looking if turn.slow}

        def rank(turn: _Turn) -> tuple[int, float]:  # of equals, min() returns the first
            return running[turn.owner], sum(self._spent.of(key, now) for key in _keys(turn))

        return min(
            (turn for turn in self._waiting if turn.owner not in slow), key=rank, default=None
        )

    def _make_room(self, held: list[_Turn], now: float) -> bool:
        """Whether the file that is being inspected longest gives up its place now."""
        if len(self._looking) - len(held) > self._places:
            return False
        slowest = min(held, key=lambda turn: turn.began)
        slowest.slow = now - slowest.began >= PATIENCE_SECONDS
        if not slowest.slow:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(slowest.began + PATIENCE_SECONDS, self._share_out)
        return slowest.slow


def _keys(turn: _Turn) -> list[str]:
    """Return the keys under which the time of a file is counted."""
    return [f"owner {turn.owner}", *([f"address {turn.address}"] if turn.address else [])]


class Spent:
    """How long the files of each key took, with half of it forgotten each half-life."""

    def __init__(self) -> None:
        self._seconds: dict[str, tuple[float, float]] = {}  # and when that was

    def of(self, key: str, now: float) -> float:
        """Return the seconds that are not forgotten yet."""
        seconds, at = self._seconds.get(key, (0.0, now))
        left: float = seconds * 0.5 ** ((now - at) / HALF_LIFE_SECONDS)
        return left

    def add(self, key: str, seconds: float, now: float) -> None:
        """Add the time that a file took."""
        total = self.of(key, now) + seconds
        self._seconds.pop(key, None)  # to the end: the oldest keys stand first
        self._seconds[key] = (total, now)
        for oldest in [*islice(self._seconds, 2)]:
            if self.of(oldest, now) < NEGLIGIBLE_SECONDS:
                del self._seconds[oldest]
