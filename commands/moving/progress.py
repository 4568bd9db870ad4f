"""A progress bar on a terminal; in a file or a pipe, a line every few seconds."""

import sys
from time import monotonic

LINE_SECONDS, BAR_SECONDS = 5.0, 0.2
WIDTH = 24


class Progress:
    """Says how many of so many rows are done."""

    def __init__(self, noun: str, total: int, *, done: int = 0) -> None:
        self._noun, self._total = noun, total
        self._began_with, self._done = done, done
        self._is_terminal = sys.stderr.isatty()
        self._began = self._said = monotonic()

    def add(self, rows: int) -> None:
        """Count rows that are done."""
        self._done += rows
        pause = BAR_SECONDS if self._is_terminal else LINE_SECONDS
        if monotonic() - self._said >= pause:
            self._say("\r" if self._is_terminal else "\n")

    def end(self) -> None:
        """Say it a last time."""
        self._say("\n")

    def _say(self, end: str) -> None:
        self._said = monotonic()
        total = max(self._total, self._done, 1)
        bar = f"{'#' * (WIDTH * self._done // total):.<{WIDTH}}"
        rate = (self._done - self._began_with) / max(self._said - self._began, 0.001)
        line = (
            f"[{bar}] {100 * self._done // total:3d} %, {self._done:,} of {self._total:,}"
            f" {self._noun}, {rate:,.0f} a second"
        )
        print(line, end=end, file=sys.stderr, flush=True)
