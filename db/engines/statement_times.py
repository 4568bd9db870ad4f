"""How long statements take: counted for all, and logged for those that are slow."""

import asyncio
import logging
import re
from bisect import bisect_left
from time import perf_counter
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

logger = logging.getLogger("parley.db")

# Upper bounds in seconds: an index look-up, a disk's fsync, a query without its index, a lock.
BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
MAX_SHOWN = 300
_NUMBER = re.compile(r"\b\d[\d.]*\b")
_LIST = re.compile(r"\?(?:\s*,\s*\?)+")


class StatementTimes:
    """The statements of one database's connections. `slow_ms` of 0 logs none."""

    def __init__(self, slow_ms: float = 0) -> None:
        self._slow_seconds = slow_ms / 1000 if slow_ms else float("inf")
        self.counts = [0] * (len(BOUNDS) + 1)  # by BOUNDS; the last is for what took longer
        self.seconds = 0.0
        self.slow = 0

    def watch(self, engine: AsyncEngine) -> None:
        """Time every statement of an engine's connections."""

        @event.listens_for(engine.sync_engine, "connect")
        def introduce(connection: Any, record: Any) -> None:
            record.info["times"] = self

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def begin(
            connection: Any, cursor: Any, text: str, given: Any, context: Any, many: bool
        ) -> None:
            context.began_at = perf_counter()

        @event.listens_for(engine.sync_engine, "after_cursor_execute")
        def end(
            connection: Any, cursor: Any, text: str, given: Any, context: Any, many: bool
        ) -> None:
            self.add(text, context.began_at)

        @event.listens_for(engine.sync_engine, "handle_error")
        def fail(failure: Any) -> None:
            began_at = getattr(failure.execution_context, "began_at", None)
            if began_at is not None:
                self.add(failure.statement, began_at)

    def add(self, text: str, began_at: float) -> None:
        """Count a statement that began then (`perf_counter`) and is over."""
        seconds = perf_counter() - began_at
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
        if seconds > self._slow_seconds:
            self.slow += 1
            task = asyncio.current_task()
            fields = {
                "ms": round(seconds * 1000, 1),
                "statement": without_values(text),
                # Says whose work it is where no request waits for it: the log's, a sweep's.
                "task": "" if task is None else task.get_name(),
            }
            logger.warning("A slow statement: %(ms).1fms", fields, extra={"fields": fields})


_NOBODY = StatementTimes()  # of an engine that nobody watches


def times_of(connection: AsyncConnection) -> StatementTimes:
    """Return what times the statements of a connection that was lent, for those past SQLAlchemy."""
    assert connection.sync_connection is not None  # noqa: S101  # it was lent
    times: StatementTimes = connection.sync_connection.info.get("times", _NOBODY)
    return times


def without_values(text: str) -> str:
    """Return the beginning of a statement as a log may show it: no value, nobody's words.

    A text in it may hold anything, also what looks like its own end: nothing behind the first one
    is shown.
    """
    shown = " ".join(text[: 4 * MAX_SHOWN].partition("'")[0].partition('"')[0].split())
    shown = _LIST.sub("?", _NUMBER.sub("?", shown))
    return shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + "…"
