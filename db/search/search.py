"""The part of the server that searches: it has an index kept, and answers questions."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import URL

from db.search.answers import Proposed, find_newest, find_ranked
from db.search.index import IndexDamaged, IndexPlace, ReadableIndex, Snapshot
from db.search.keeper import Keeper
from db.search.queries import Search, SearchOrder
from db.search.requests import Request, RequestPipe

# The library waits for no lock of Python's.
THREADS = 2
# What was committed so lately is new enough. Else a search has what is newer committed, and waits
# for it; so long at most, when the indexer is busy or the machine is.
FRESH_SECONDS, WAIT_SECONDS, LOOK_SECONDS = 0.4, 0.6, 0.01


class SearchUnavailable(Exception):
    """The index cannot be read; it is being made anew."""


class Found(NamedTuple):
    """The ids of hits, and whether the index had every message that there was."""

    ids: Sequence[int]
    is_complete: bool
    # Every message from this position on was looked at; there was no time for the others.
    first: int = 0


class MessageSearch:
    """Searches the messages of the database at a URL, with the index in a directory.

    `head` says how far the log goes, `epoch` which log it is.
    """

    def __init__(
        self, url: URL, directory: Path, *, head: Callable[[], int], epoch: Callable[[], str]
    ) -> None:
        self._place = IndexPlace(directory)
        self._requests = RequestPipe(directory)
        self._head = head
        self._epoch = epoch
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="search")
        self._keeper = Keeper(url, self._place, head=head, epoch=epoch)
        self._reader = ("", ReadableIndex(self._place.path_of("")))

    def start(self) -> None:
        """Begin to have the index kept, once, on the running loop."""
        self._keeper.start()

    async def close(self) -> None:
        """End the indexer, if this process has it."""
        await self._keeper.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def span(self) -> tuple[int, int] | None:
        """Return the first and last position in the index; None while there is no index.

        Raises SearchUnavailable.
        """
        reader = ReadableIndex(self._place.path_of(self._epoch()))
        run = asyncio.get_running_loop().run_in_executor
        try:
            snapshot = await run(self._executor, reader.snapshot)
        except (IndexDamaged, OSError, ValueError) as error:
            raise SearchUnavailable from error
        return None if snapshot is None else (snapshot.state.first, snapshot.state.last)

    async def find(self, search: Search, *, before: int | None, limit: int) -> Found:
        """Return hits of messages before an id; by relevance, all that are ranked, from any time.

        They may be fewer than there are: then the index is not complete yet. Some may be hidden or
        answer the question no more. Raises SearchUnavailable.
        """
        self._keeper.hurry()
        epoch, head = self._epoch(), self._head()
        if self._reader[0] != epoch:
            self._reader = (epoch, ReadableIndex(self._place.path_of(epoch)))
        reader = self._reader[1]
        run = asyncio.get_running_loop().run_in_executor
        try:
            # A later page goes on with what the first one has waited for.
            wants = 0 if before is not None else head
            snapshot = await self._fresh(reader, Request(wants, epoch))
            if snapshot is None:
                return Found((), is_complete=head == 0)
            found = await run(self._executor, _look, snapshot, search, before, limit)
            is_complete = snapshot.state.first <= 1 and _is_fresh(snapshot, wants)
            return Found(found.ids, is_complete, found.first)
        except (IndexDamaged, OSError, ValueError) as error:
            self._requests.send(Request(head, epoch, anew=True))
            raise SearchUnavailable from error

    async def _fresh(self, reader: ReadableIndex, request: Request) -> Snapshot | None:
        """Return the index with what is asked for, or without the latest; None for no index."""
        run = asyncio.get_running_loop().run_in_executor
        snapshot = await run(self._executor, reader.snapshot)
        if _is_fresh(snapshot, request.head) or not self._requests.send(request):
            return snapshot
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
            snapshot = await run(self._executor, reader.snapshot)
            if snapshot is not None and snapshot.state.last >= request.head:
                break
        return snapshot


def _is_fresh(snapshot: Snapshot | None, head: int) -> bool:
    if snapshot is None:
        return head == 0
    return snapshot.state.last >= head or 0 <= time.time() - snapshot.committed_at < FRESH_SECONDS


def _look(snapshot: Snapshot, search: Search, before: int | None, limit: int) -> Proposed:
    searcher, last = snapshot.searcher, snapshot.state.last
    if search.order is SearchOrder.RELEVANCE:
        return find_ranked(searcher, search, last=last)
    return find_newest(searcher, search, last=last, before=before, limit=limit)
