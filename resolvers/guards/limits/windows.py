"""Moving windows in this process's memory: a store for one kind of limit.

Not the library's `MemoryStorage`: it starts a thread every 10 ms that looks through all keys (20 µs
a hit with 10,000 users), and counts by the wall clock: set back an hour, it would lock everybody
out.
"""

from collections import OrderedDict, deque
from time import monotonic

# The keys of a store; each takes about a kilobyte. Keys beyond these share windows.
MAX_KEYS = 20_000
SHARED_WINDOWS = 1024


class Windows:
    """Counts the hits of keys, on one thread, by a clock that nobody sets.

    A window is never forgotten before its hits have passed: else a caller could fill the store to
    be rid of earlier hits. While the store is full, a new key shares one of SHARED_WINDOWS windows
    with other keys: too little is let through then, never too much.
    """

    def __init__(self, amount: int, seconds: int, *, max_keys: int = MAX_KEYS) -> None:
        self._amount = amount
        self._seconds = seconds
        self._max_keys = max_keys
        # By key, or by the number of a shared window. The window that was hit last stands last, so
        # that those that have passed stand first.
        self._windows: OrderedDict[str | int, deque[float]] = OrderedDict()

    def count(self, key: str) -> float:
        """Count a hit if there is room, and return 0; else the seconds until there is."""
        now = monotonic()
        name, hits = self._find(key, now)
        if len(hits) == self._amount and (wait := hits[0] + self._seconds - now) > 0:
            return wait
        hits.append(now)
        self._windows[name] = hits
        self._windows.move_to_end(name)
        return 0.0

    def add(self, key: str, amount: int) -> None:
        """Count hits that have happened already, as far as the window has room."""
        now = monotonic()
        name, hits = self._find(key, now)
        hits.extend([now] * min(amount, self._amount))
        self._windows[name] = hits
        self._windows.move_to_end(name)

    def wait(self, key: str, amount: int = 1) -> float:
        """Return the seconds until there is room for so many hits; 0 for now. Counts nothing."""
        now = monotonic()
        _, hits = self._find(key, now)
        last = len(hits) - self._amount + min(amount, self._amount) - 1  # that must have passed
        return 0.0 if last < 0 else max(0.0, hits[last] + self._seconds - now)

    def _find(self, key: str, now: float) -> tuple[str | int, deque[float]]:
        """Return the window in which the key counts, and its name; an empty one is not kept yet."""
        windows = self._windows
        if (hits := windows.get(key)) is not None:
            return key, hits
        while windows and next(iter(windows.values()))[-1] + self._seconds <= now:
            windows.popitem(last=False)
        shared = hash(key) % SHARED_WINDOWS
        # What the key counted in there while the store was full still counts.
        if shared in windows or len(windows) >= self._max_keys:
            return shared, windows.get(shared) or deque(maxlen=self._amount)
        return key, deque(maxlen=self._amount)
