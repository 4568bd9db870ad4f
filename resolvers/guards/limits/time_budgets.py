"""How long each caller may keep the event loop: a leaky bucket of seconds for each key.

Each process has budgets of its own, since each has an event loop of its own. A caller who has used
up the budget is refused until enough of it has leaked.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, thread_time

# A key takes some hundred bytes. Beyond, those that spent longest ago are forgotten.
MAX_KEYS = 20_000


class TimeBudget:
    """So many seconds of the loop for each key, which come back within so many seconds."""

    def __init__(self, budget: float, per: float, *, max_keys: int = MAX_KEYS) -> None:
        self._budget = budget
        self._leak = budget / per
        self._max_keys = max_keys
        # How much of the budget was used, and at what time; the last to spend stand last.
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, key: str) -> float:
        """Return the seconds until some of the budget is there; 0 when it is there now."""
        over = self._level(key, monotonic()) - self._budget
        return 0.0 if over < 0 else max(over / self._leak, 0.001)

    def spend(self, key: str, seconds: float) -> None:
        """Take so many seconds from the budget, even beyond its end."""
        now = monotonic()
        level = self._level(key, now) + seconds
        self._used[key] = (level, now)
        self._used.move_to_end(key)
        while self._used and (len(self._used) > self._max_keys or self._is_empty(now)):
            self._used.popitem(last=False)

    @contextmanager
    def spending(self, key: str) -> Iterator[None]:
        """Take the block's processor time from the budget; the block must not wait for anything."""
        began = thread_time()
        try:
            yield
        finally:
            self.spend(key, thread_time() - began)

    def _level(self, key: str, now: float) -> float:
        level, at = self._used.get(key, (0.0, now))
        return max(0.0, level - (now - at) * self._leak)

    def _is_empty(self, now: float) -> bool:
        """Whether all of the oldest key's use has leaked."""
        return self._level(next(iter(self._used)), now) <= 0
