"""How much the counting of limits holds in memory: only tests ask."""

from typing import Any


def held_windows(windows: Any) -> int:
    """Return how many windows a `Windows` holds, shared ones too."""
    return len(windows._windows)


def held_counts(counts: Any) -> int:
    """Return how many windows a `Counts` holds, of all limits together."""
    return sum(map(held_windows, counts._stores.values()))
