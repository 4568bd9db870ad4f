"""Keeps this machine's index up to the log.

The newest messages come first: a new index begins at the log's head, and goes on backwards while
nothing new arrives. So a search finds what was just written, also while five million older messages
are still being read.

A commit is dear, and what reads the database reads many rows as cheaply as a few. So what is new is
read some thousands at a time, and committed when somebody searches, or after COMMIT_SECONDS.

The words of a text that was changed or deleted stay in the index's files, where nothing finds them,
until the library rewrites their file, which may be never. A renewal writes every message once more,
a range at a time, so that every older file goes.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from time import monotonic
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.database import Database, DatabaseUnavailable
from db.messages import head_position
from db.search.documents import State, Text
from db.search.index import IndexDamaged, IndexPlace, WritableIndex
from db.search.requests import Request
from db.search.texts import (
    read_changed,
    read_last_before,
    read_pruned,
    read_texts,
    read_texts_of,
)

logger = logging.getLogger("parley.search")

# New messages are read when there are so many, or when a commit is due.
READ_AT_ONCE = 4000
# Without a search, what is new is committed after so long, or when there is so much of it.
COMMIT_SECONDS = 10.0
MAX_UNCOMMITTED = 20_000
# A new index is of use as soon as it has something.
FIRST_COMMIT_SECONDS = 0.5
# Positions that are read at once, and messages that are put into the index in one go.
WINDOW, SLICE = 1000, 200
# A renewal begins when words have to go for so long, and writes so many positions in one piece.
RENEW_SECONDS = 3600.0
RENEWED = 5000
# After a renewal there is none for so many times as long as it took: two percent of a processor.
RENEWAL_REST = 50
# How long to wait for a replica, and after a failure.
LAG_SECONDS, DATABASE_SECONDS, RETRY_SECONDS = 0.1, 1.0, 5.0
REPORT_SECONDS = 5.0
CLOSE_SECONDS = 2.0

T = TypeVar("T")


class LogBehind(Exception):
    """The database that was read does not have the last positions yet."""


class Follower:
    """Follows the log in the directory of an index, whose lock the caller holds."""

    def __init__(self, database: Database, place: IndexPlace, executor: Executor) -> None:
        self.database = database
        self._place = place
        self._executor = executor
        self.head = 0
        self.asked = 0  # somebody searches, and waits for everything up to here
        self._epoch: str | None = None
        self._doubt = ""  # why the index is to be made anew
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow, once, on the running loop; a log must have been told of."""
        self._task = asyncio.create_task(self._follow(), name="search")

    async def close(self) -> None:
        """End the following. What is not committed is read again at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
            self._task = None

    def tell(self, head: int, epoch: str) -> None:
        """Say how far the log goes, and which log it is."""
        if epoch != self._epoch:
            self._epoch, self.head, self.asked = epoch, head, 0
        self.head = max(self.head, head)
        self._news.set()

    def ask(self, request: Request) -> None:
        """Do what is asked, if it is about the log that was told of."""
        if request.epoch != self._epoch:
            return
        if request.anew:
            self._doubt = self._doubt or "that was asked for"
        self.head = max(self.head, request.head)
        self.asked = max(self.asked, request.head)
        self._news.set()

    async def rest(self, seconds: float | None) -> None:
        """Wait until there is news, or for so long."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return
        self._news.clear()

    async def _follow(self) -> None:
        failure = ""
        while True:
            try:
                await self._follow_one()
                failure = ""
            except DatabaseUnavailable:  # which the server reports
                await asyncio.sleep(DATABASE_SECONDS)
            except Exception as error:
                # Once for each kind of failure: a full disk stays full.
                if failure != repr(error):
                    logger.error("The search index is behind; trying again (%r)", error)
                failure = repr(error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow_one(self) -> None:
        """Keep the index of this log up to it, until there is another log."""
        while (epoch := self._epoch) is None:
            await self.rest(None)
        path = self._place.path_of(epoch)
        try:
            await self.in_thread(lambda: self._place.clear(but=epoch))
            index = await self.in_thread(lambda: WritableIndex(path))
            try:
                await self._check_age(index)
                writing = _Writing(self, index)
                while self._epoch == epoch:
                    if self._doubt:
                        raise IndexDamaged(self._doubt)
                    await writing.step()
            finally:
                await asyncio.shield(self.in_thread(index.close))
        except IndexDamaged as error:
            logger.warning("The search index is made anew: %s", error)
            self._doubt = ""
            await self.in_thread(lambda: shutil.rmtree(path, ignore_errors=True))
            await asyncio.sleep(DATABASE_SECONDS)  # should it be damaged again and again

    async def _check_age(self, index: WritableIndex) -> None:
        """Raise IndexDamaged for an index that has missed changes which the log has forgotten."""
        async with self.database.read() as connection:
            pruned = await read_pruned(connection)
        if index.state is not None and index.state.last < pruned:
            raise IndexDamaged("it is older than LOG_KEPT_DAYS")

    async def commit(self, index: WritableIndex, state: State) -> None:
        """Commit in a thread; a cancelled caller waits for the end, since the files are in use."""
        done = self.in_thread(lambda: index.commit(state))
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.wait([done], timeout=CLOSE_SECONDS)
            raise

    def in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Do blocking work beside the loop."""
        return asyncio.get_running_loop().run_in_executor(self._executor, work)


class _Writing:
    """One writer's work: what it has put into the index, committed or not."""

    def __init__(self, follower: Follower, index: WritableIndex) -> None:
        self._follower = follower
        self._index = index
        known = index.state
        if known is None:
            known = State(first=follower.head + 1, last=follower.head, made_at=time.time())
            if known.last:
                logger.info("Making the search index of %d positions", known.last)
        self._made_at = known.made_at
        self._first, self._last = known.first, known.last
        self._stale_since, self._renewed_from = known.stale_since, known.renewed_from
        self._renewal_began, self._no_renewal_before = monotonic(), 0.0
        self._behind_since: float | None = None
        self._committed_at = self._reported_at = monotonic()

    async def step(self) -> None:
        """Do some of the work that there is, or wait for more."""
        try:
            is_idle = not await self._work()
        except LogBehind:
            is_idle = False
            await asyncio.sleep(LAG_SECONDS)
        if self._is_due():
            await self._commit()
        elif is_idle:
            await self._follower.rest(self._seconds_left())

    async def _work(self) -> bool:
        head = self._follower.head
        if self._last < head and self._reads_news(head):
            await self._go_on(min(self._last + WINDOW, head))
        elif self._first > 1:
            await self._go_back(max(self._first - WINDOW, 1))
        elif self._renewed_from > 1:
            await self._renew(max(self._renewed_from - RENEWED, 1))
        elif self._wants_renewal():
            self._renewal_began = monotonic()
            # What is removed from now on has to go by the next renewal.
            self._stale_since, self._renewed_from = 0.0, self._last + 1
        else:
            return False
        return True

    def _reads_news(self, head: int) -> bool:
        if self._behind_since is None:
            self._behind_since = monotonic()
        return (
            head - self._last >= READ_AT_ONCE
            or self._last < self._follower.asked
            or self._first > 1
            or monotonic() - self._behind_since >= COMMIT_SECONDS
        )

    def _wants_renewal(self) -> bool:
        return (
            self._stale_since > 0
            and time.time() - self._stale_since >= RENEW_SECONDS
            and monotonic() >= self._no_renewal_before
        )

    def _seconds_left(self) -> float | None:
        """Return after how long there is something to do without any news; None for never."""
        waits: list[float] = []
        if self._behind_since is not None:
            waits.append(self._behind_since + COMMIT_SECONDS - monotonic())
        if self._stale_since:
            until = self._stale_since + RENEW_SECONDS - time.time()
            waits.append(max(until, self._no_renewal_before - monotonic()))
        return max(0.01, min(waits)) if waits else None

    def _is_due(self) -> bool:
        known = self._index.state
        if self._index.added >= MAX_UNCOMMITTED:
            return True
        if known is None:
            pause = 0.0 if self._first == 1 else FIRST_COMMIT_SECONDS
            return self._first <= self._last and monotonic() - self._committed_at >= pause
        if self._renewed_from == 1 or self._first == 1 < known.first <= self._last:
            return True  # a renewal, or a new index, is complete
        if known.last == self._last:
            return False
        if self._last >= self._follower.asked > known.last:
            return True
        since = self._behind_since
        return since is not None and monotonic() - since >= COMMIT_SECONDS

    async def _commit(self) -> None:
        before = self._index.state
        if self._renewed_from == 1:
            self._renewed_from = 0
            took = monotonic() - self._renewal_began
            self._no_renewal_before = monotonic() + RENEWAL_REST * took
            logger.info("The words of removed texts have left the search index (%.0f s)", took)
        state = State(self._first, self._last, self._made_at, self._stale_since, self._renewed_from)
        await self._follower.commit(self._index, state)
        self._committed_at = monotonic()
        self._behind_since = None
        self._report(before)

    def _report(self, before: State | None) -> None:
        if self._first == 1:
            if before is not None and before.first > 1:
                logger.info("The search index is complete: %d positions", self._last)
        elif monotonic() - self._reported_at >= REPORT_SECONDS:
            self._reported_at = monotonic()
            done = self._last - self._first + 1
            logger.info("The search index has %d of %d positions", done, self._last)

    async def _go_on(self, upto: int) -> None:
        async with self._reading(upto) as connection:
            texts = await read_texts(connection, self._last, upto)
            changed = await read_changed(connection, self._last, upto)
            # What stands past the last position, or before the first one, is read as it is now.
            known = {id_ for id_ in changed if self._first <= id_ <= self._last}
            again = await read_texts_of(connection, known) if known else []
        if known:
            self._index.remove(known)
            self._stale_since = self._stale_since or time.time()
        await self._put([*texts, *again])
        self._last = upto

    @asynccontextmanager
    async def _reading(self, upto: int) -> AsyncIterator[AsyncConnection]:
        """Lend a connection that sees the log up to here. Raises LogBehind.

        A replica may lag: what it lacks would be left out for ever.
        """
        async with self._follower.database.read() as connection:
            if await head_position(connection) < upto:
                raise LogBehind
            yield connection

    async def _go_back(self, first: int) -> None:
        # With the last changes of these messages: nobody will look for them again.
        async with self._reading(self._last) as connection:
            texts = await read_texts(connection, first - 1, self._first - 1)
            if not texts:  # a gap: of any size, where messages were moved in with their ids
                first = await read_last_before(connection, first) + 1
        await self._put(texts)
        self._first = first

    async def _renew(self, first: int) -> None:
        """Write the messages from here to those that are renewed once more; no commit is between.

        As of the last position that the index has, or later: what has changed since is read again.
        """
        async with self._reading(self._last) as connection:
            texts = await read_texts(connection, first - 1, self._renewed_from - 1)
            if not texts:
                first = await read_last_before(connection, first) + 1
        self._index.remove_range(first, self._renewed_from - 1)
        await self._put(texts)
        self._renewed_from = first

    async def _put(self, texts: Sequence[Text]) -> None:
        """Add messages; those without a text are not searched for. The loop has its turns."""
        found = [text for text in texts if text.content or text.filename]
        for start in range(0, len(found), SLICE):
            self._index.add(found[start : start + SLICE])
            await asyncio.sleep(0)
