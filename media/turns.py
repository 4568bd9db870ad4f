"""Whose file is looked at next: places are shared out between people, not between files.

Somebody has one place at most while others wait. Of those who wait, the one comes first whose files
took the least time lately, and whose address's did. A file that takes long gives its place to
another after a while and goes on beside it, so that slow files never hold all places.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

# After so long a file that is being looked at makes room for those of others that wait.
PATIENCE_SECONDS = 2.0
# What a file counts at least, so that of many that take next to nothing everybody's come in turn.
LEAST_SECONDS = 0.05
# In this time half of what somebody's files took is forgotten.
HALF_LIFE_SECONDS = 60.0
# Less is as good as nothing.
NEGLIGIBLE_SECONDS = 0.01


@dataclass(eq=False, slots=True)
class _Turn:
    """A file that waits, or that is being looked at since `began`."""

    owner: str
    address: str
    granted: asyncio.Future[None] = field(repr=False)
    began: float | None = None
    slow: bool = False


class Turns:
    """Hands out `places`; beside them at most `places + 1` slow files go on."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._slow_places = places + 1
        self._waiting: list[_Turn] = []  # as many as uploads may be under way
        self._looking: list[_Turn] = []
        self._spent = Spent()
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def take(self, owner: str, address: str) -> AsyncIterator[None]:
        """Hold a place; waits for it."""
        turn = _Turn(owner, address, asyncio.get_running_loop().create_future())
        self._waiting.append(turn)
        self._share_out()
        try:
            await turn.granted
            yield
        finally:
            if turn.began is None:
                self._waiting.remove(turn)
            else:
                self._looking.remove(turn)
                now = asyncio.get_running_loop().time()
                seconds = max(LEAST_SECONDS, now - turn.began)
                for key in _keys(turn):
                    self._spent.add(key, seconds, now)
            self._share_out()

    def _share_out(self) -> None:
        """Give free places to those that wait; make slow files give theirs up."""
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
        """Return whose turn is next, if anybody may have one."""
        running = Counter(turn.owner for turn in self._looking)
        slow = {turn.owner for turn in self._looking if turn.slow}
        able = [turn for turn in self._waiting if turn.owner not in slow]
        return min(able, key=lambda turn: self._rank(turn, running, now), default=None)

    def _rank(self, turn: _Turn, running: Counter[str], now: float) -> tuple[int, float]:
        spent = sum(self._spent.of(key, now) for key in _keys(turn))
        return running[turn.owner], spent  # the first of equals came first

    def _make_room(self, held: list[_Turn], now: float) -> bool:
        """Whether the file that has been looked at longest gives up its place now."""
        if len(self._looking) - len(held) >= self._slow_places:
            return False
        slowest = min(held, key=lambda turn: turn.began or 0.0)
        since = now - (slowest.began or 0.0)
        if since >= PATIENCE_SECONDS:
            slowest.slow = True
            return True
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(PATIENCE_SECONDS - since, self._share_out)
        return False


def _keys(turn: _Turn) -> list[str]:
    """Under what is counted how long a file took."""
    return [f"owner {turn.owner}", *([f"address {turn.address}"] if turn.address else [])]


class Spent:
    """How long somebody's files took, of which half is forgotten again and again."""

    def __init__(self) -> None:
        self._seconds: dict[str, tuple[float, float]] = {}  # and when that was

    def __len__(self) -> int:
        return len(self._seconds)

    def of(self, key: str, now: float) -> float:
        """Return what is not forgotten yet, in seconds."""
        seconds, at = self._seconds.get(key, (0.0, now))
        left: float = seconds * 0.5 ** ((now - at) / HALF_LIFE_SECONDS)
        return left

    def add(self, key: str, seconds: float, now: float) -> None:
        """Add what a file took."""
        total = self.of(key, now) + seconds
        self._seconds.pop(key, None)  # to the end: the oldest is looked at first
        self._seconds[key] = (total, now)
        for oldest in [*zip(self._seconds, range(2), strict=False)]:
            if self.of(oldest[0], now) < NEGLIGIBLE_SECONDS:
                del self._seconds[oldest[0]]
