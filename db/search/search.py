"""The part of the server that searches: it follows the log, and answers questions."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from db.engines.database import Database
from db.search.answers import find_newest, find_ranked
from db.search.follower import Follower, Recent
from db.search.index import IndexDamaged, IndexPlace, ReadableIndex
from db.search.queries import Search, SearchOrder

# The library waits for no lock of Python's: one thread searches while another one commits.
THREADS = 3


class SearchUnavailable(Exception):
    """The index cannot be read; it is being made anew."""


class Found(NamedTuple):
    """The ids of hits, and whether the index had every message that there was."""

    ids: Sequence[int]
    is_complete: bool
    # Every message from this position on was looked at; there was no time for the others.
    first: int = 0


class MessageSearch:
    """Searches the messages.

    `head` says how far the log goes, `epoch` which log it is. `recent` gives the entries between
    two positions, as they are now, as long as the process has them.
    """

    def __init__(
        self,
        database: Database,
        directory: Path,
        *,
        head: Callable[[], int],
        epoch: Callable[[], str],
        recent: Recent = lambda after, upto: None,
    ) -> None:
        self._place = IndexPlace(directory)
        self._head = head
        self._epoch = epoch
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="search")
        self._follower = Follower(
            database, self._place, self._executor, head=head, epoch=epoch, recent=recent
        )
        self._reader = ("", ReadableIndex(self._place.path_of("")))

    def start(self) -> None:
        """Begin to follow the log, once, on the running loop."""
        self._follower.start()

    async def close(self) -> None:
        """End the following."""
        await self._follower.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def find(self, search: Search, *, before: int | None, limit: int) -> Found:
        """Return hits of messages before an id; by relevance, all that are ranked, from any time.

        They may be fewer than there are: then the index is not complete yet. Some may be hidden or
        answer the question no more. Raises SearchUnavailable.
        """
        epoch = self._epoch()
        if self._reader[0] != epoch:
            self._reader = (epoch, ReadableIndex(self._place.path_of(epoch)))
        reader = self._reader[1]

        def look() -> Found:
            snapshot = reader.snapshot()
            if snapshot is None:
                return Found((), is_complete=self._head() == 0)
            searcher, last = snapshot.searcher, snapshot.state.last
            if search.order is SearchOrder.RELEVANCE:
                ids, first = find_ranked(searcher, search, last=last)
            else:
                ids, first = find_newest(searcher, search, last=last, before=before, limit=limit)
            return Found(ids, snapshot.state.first <= 1, first)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, look)
        except (IndexDamaged, OSError, ValueError) as error:
            self._follower.doubt()
            raise SearchUnavailable from error
