"""What the log has stored since its start, for the operator."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Sequence
from time import perf_counter
from typing import Any

from db.models import StoredMessage
from events.facts import Fact

BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128)
SECONDS_BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
MESSAGE = "MessageSent"


class LogFigures:
    """Counts batches, not entries: a message costs nothing here."""

    def __init__(self, pending: Collection[object]) -> None:
        self._pending = pending
        self.position = 0  # the last one that this process has taken
        self.kinds: Counter[str] = Counter({MESSAGE: 0})
        self.sizes = [0] * (len(BATCH_BOUNDS) + 1)
        self.times = [0] * (len(SECONDS_BOUNDS) + 1)
        self.entries = 0
        self.seconds = 0.0
        self.failures = 0

    @property
    def pending(self) -> int:
        """How many changes wait for a batch."""
        return len(self._pending)

    def add(self, entries: Sequence[StoredMessage | Fact], began_at: float, *, mixed: bool) -> None:
        """Count a batch, begun then (`perf_counter`); `mixed`, if not all need be messages."""
        seconds = perf_counter() - began_at
        self.position = entries[-1].id
        self.times[bisect_left(SECONDS_BOUNDS, seconds)] += 1
        self.sizes[bisect_left(BATCH_BOUNDS, len(entries))] += 1
        self.entries += len(entries)
        self.seconds += seconds
        if mixed:
            self.kinds.update(map(_kind, entries))
        else:
            self.kinds[MESSAGE] += len(entries)


def _kind(entry: StoredMessage | Fact) -> str:
    body: Any = entry.body if isinstance(entry, Fact) else None
    return MESSAGE if body is None else type(body).__name__
