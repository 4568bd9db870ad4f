"""Moving windows in this process's memory: a store for one kind of limit.

Not the library's `MemoryStorage`: it starts a thread every 10 ms that looks through all keys (20 µs
a hit with 10,000 users), and counts by the wall clock: set back an hour, it would lock everybody
out.
"""

from collections import OrderedDict, deque
from time import monotonic

# The keys of a store; each takes about a kilobyte. Beyond, new ones share a window with others.
MAX_KEYS = 20_000
SHARED_WINDOWS = 1024


class Windows:
    """Counts the hits of keys, on one thread, by a clock that nobody sets.

    A window is never forgotten before its hits have passed, or whoever fills the store would be
    rid of what was counted. While the store is full, a new key counts in one of SHARED_WINDOWS
    windows, with all the others that come there: too little is let through then, never too much.
    """

    def __init__(self, amount: int, seconds: int, *, max_keys: int = MAX_KEYS) -> None:
        self._amount = amount
        self._seconds = seconds
        self._max_keys = max_keys
        # The one that was hit last comes last, so that those that have passed come first.
        self._windows: OrderedDict[str, deque[float]] = OrderedDict()
        self._shared: dict[int, deque[float]] = {}

    def __len__(self) -> int:
        return len(self._windows) + len(self._shared)

    def take(self, key: str) -> float:
        """Count a hit if there is room, and return 0; else the seconds until there is."""
        now = monotonic()
        hits = self._find(key) or self._make(key, now)
        if len(hits) == self._amount and (wait := hits[0] + self._seconds - now) > 0:
            return wait
        self._add(key, hits, now, 1)
        return 0.0

    def record(self, key: str, amount: int) -> None:
        """Count what has happened already, as far as the window goes."""
        now = monotonic()
        self._add(key, self._find(key) or self._make(key, now), now, amount)

    def wait(self, key: str, amount: int = 1) -> float:
        """How many seconds until there is room for so many hits; 0 for now. Counts nothing."""
        now = monotonic()
        hits = self._find(key)
        if hits is None:
            if not self._is_full(now):
                return 0.0
            hits = self._shared.get(hash(key) % SHARED_WINDOWS)
        if hits is None:
            return 0.0
        last = len(hits) - self._amount + min(amount, self._amount) - 1  # that must have passed
        return 0.0 if last < 0 else max(0.0, hits[last] + self._seconds - now)

    def _add(self, key: str, hits: deque[float], now: float, amount: int) -> None:
        if amount == 1:
            hits.append(now)
        else:
            hits.extend([now] * min(amount, self._amount))
        if key in self._windows:
            self._windows.move_to_end(key)

    def _find(self, key: str) -> deque[float] | None:
        hits = self._windows.get(key)
        if hits is None and self._shared:
            # What was counted in there while the store was full still counts.
            hits = self._shared.get(hash(key) % SHARED_WINDOWS)
            if hits is not None and hits[-1] + self._seconds <= monotonic():
                del self._shared[hash(key) % SHARED_WINDOWS]
                return None
        return hits

    def _make(self, key: str, now: float) -> deque[float]:
        hits: deque[float] = deque(maxlen=self._amount)
        if self._is_full(now):
            self._shared[hash(key) % SHARED_WINDOWS] = hits
        else:
            self._windows[key] = hits
        return hits

    def _is_full(self, now: float) -> bool:
        windows = self._windows
        while windows:
            key, hits = next(iter(windows.items()))
            if hits[-1] + self._seconds > now:
                break
            del windows[key]
        return len(windows) >= self._max_keys
