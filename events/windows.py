"""Moving windows in this process's memory: a storage for the strategies of `limits`.

`limits.storage.MemoryStorage` starts a thread every 10 ms that looks through all keys (20 µs a hit
with 10,000 users), and counts by the wall clock: set back an hour, it would lock everybody out.
"""

from collections import deque
from time import monotonic

from limits.storage import MovingWindowSupport, Storage

# Beyond, the oldest are forgotten. A key takes about a kilobyte.
MAX_KEYS = 50_000
# For each new key so many old ones are looked at, so that what has passed never piles up.
SWEPT_FOR_EACH = 2


class Window:
    """When the latest hits of one key were, as many as the limit counts."""

    __slots__ = ("expiry", "hits")

    def __init__(self, limit: int, expiry: int) -> None:
        self.hits: deque[float] = deque(maxlen=limit)
        self.expiry = expiry

    def wait(self, amount: int, now: float) -> float:
        """How many seconds until there is room for so many more; 0 for now."""
        hits = self.hits
        limit: int = hits.maxlen  # type: ignore[assignment]  # set above
        first = len(hits) - limit + min(amount, limit) - 1  # the last that must have passed
        return 0.0 if first < 0 else max(0.0, hits[first] + self.expiry - now)


class Windows(Storage, MovingWindowSupport):
    """Counts in this process, on one thread, by a clock that nobody sets."""

    STORAGE_SCHEME = None
    base_exceptions = ValueError

    def __init__(self, *, max_keys: int = MAX_KEYS) -> None:
        super().__init__()
        self._windows: dict[str, Window] = {}
        self._max_keys = max_keys

    def __len__(self) -> int:
        return len(self._windows)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count so many hits if there is room for them."""
        now = monotonic()
        window = self._windows.get(key)
        if window is None:
            window = self._add(key, limit, expiry, now)
        if amount > limit or window.wait(amount, now) > 0:
            return False
        if amount == 1:
            window.hits.append(now)
        else:
            window.hits.extend([now] * amount)
        return True

    def record(self, key: str, limit: int, expiry: int, amount: int) -> None:
        """Count hits that another process has let through, whether there is room or not."""
        now = monotonic()
        window = self._windows.get(key) or self._add(key, limit, expiry, now)
        window.hits.extend([now] * min(amount, limit))

    def wait(self, key: str, amount: int = 1) -> float:
        """How many seconds until so many hits would be let through; 0 for now."""
        window = self._windows.get(key)
        return 0.0 if window is None else window.wait(amount, monotonic())

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest hit of the window was, and how many there are."""
        now = monotonic()
        window = self._windows.get(key)
        valid = [] if window is None else [hit for hit in window.hits if hit > now - expiry]
        return (valid[0], len(valid)) if valid else (now, 0)

    def clear(self, key: str) -> None:
        """Forget a key."""
        self._windows.pop(key, None)

    def reset(self) -> int | None:
        """Forget everything; return how many keys that were."""
        number = len(self._windows)
        self._windows.clear()
        return number

    def check(self) -> bool:
        """Memory is always there."""
        return True

    def get(self, key: str) -> int:
        """How many hits of a key are remembered."""
        window = self._windows.get(key)
        return 0 if window is None else len(window.hits)

    def get_expiry(self, key: str) -> float:
        """When the last hit of a key will have passed."""
        window = self._windows.get(key)
        return monotonic() if not (window and window.hits) else window.hits[-1] + window.expiry

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Windows do not count so."""
        raise NotImplementedError("Windows serve the moving-window strategy alone")

    def _add(self, key: str, limit: int, expiry: int, now: float) -> Window:
        windows = self._windows
        for _ in range(min(SWEPT_FOR_EACH, len(windows))):
            oldest, window = next(iter(windows.items()))
            del windows[oldest]
            if window.hits and window.hits[-1] + window.expiry > now:
                windows[oldest] = window  # still counts: to the end of the queue
        while len(windows) >= self._max_keys:
            del windows[next(iter(windows))]
        window = windows[key] = Window(limit, expiry)
        return window
