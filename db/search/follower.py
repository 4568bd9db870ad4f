"""Keeps this machine's index up to the log.

One process of those that share the directory does the work, and another one takes over when it
ends. The newest messages come first: a new index begins at the log's head, and goes on backwards
while nothing new arrives. So a search finds what was just written, also while five million older
messages are still being read.

Each step is short, since it holds the event loop; what takes longer runs in a thread.
"""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from time import monotonic
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.database import Database, DatabaseUnavailable
from db.messages import head_position
from db.models import StoredMessage
from db.search.documents import State, Text
from db.search.index import IndexDamaged, IndexPlace, WritableIndex
from db.search.texts import (
    changed_by,
    read_changed,
    read_pruned,
    read_texts,
    read_texts_of,
    text_of,
)
from events.facts import Fact

logger = logging.getLogger("parley.search")

# How often the follower looks whether the log has grown. That costs nothing, and what the process
# has just delivered is still in memory then.
POLL_SECONDS = 0.1
# A commit costs 10 ms of the processor and waits for the disk, as the database does, whatever is in
# it. A message is found after so long, and a commit's time; where many are written, a bit later.
COMMIT_SECONDS, BUSY_COMMIT_SECONDS = 0.6, 2.0
BUSY_MESSAGES = 400
# Positions that are read at once, and messages that are put into the index in one go: about a
# millisecond.
WINDOW, SLICE = 1000, 100
# The library takes so many and some more without making its caller wait.
MAX_UNCOMMITTED = 8000
# How often a process that does not write tries to, and how long the writer rests after a failure.
TAKE_OVER_SECONDS, RETRY_SECONDS = 1.0, 5.0
REPORT_SECONDS = 5.0
CLOSE_SECONDS = 2.0

T = TypeVar("T")


class LogBehind(Exception):
    """The database that was read does not have the last positions yet."""


# Returns the log's entries between two positions, as they are now, where a process still has them.
Recent = Callable[[int, int], Sequence[StoredMessage | Fact] | None]


class Follower:
    """Follows the log. `head` says how far it goes, `epoch` which log it is."""

    def __init__(
        self,
        database: Database,
        place: IndexPlace,
        executor: Executor,
        *,
        head: Callable[[], int],
        epoch: Callable[[], str],
        recent: Recent,
    ) -> None:
        self._database = database
        self._place = place
        self._executor = executor
        self._head = head
        self._epoch = epoch
        self._recent = recent
        self._task: asyncio.Task[None] | None = None
        self._doubted = False

    def start(self) -> None:
        """Begin to follow, once, on the running loop."""
        self._task = asyncio.create_task(self._follow(), name="search")

    async def close(self) -> None:
        """End the following. What is not committed is read again at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
            self._task = None

    def doubt(self) -> None:
        """Have the index made anew: a search has found it damaged."""
        self._doubted = True

    async def _follow(self) -> None:
        failure = ""
        while True:
            try:
                await self._hold_and_write()
                failure = ""
            except DatabaseUnavailable:  # which is reported elsewhere
                await asyncio.sleep(TAKE_OVER_SECONDS)
            except Exception as error:
                # Once for each kind of failure: a full disk stays full.
                if failure != repr(error):
                    logger.error("The search index is behind; trying again (%r)", error)
                failure = repr(error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _hold_and_write(self) -> None:
        lock = self._place.lock()
        if lock is None:
            await asyncio.sleep(TAKE_OVER_SECONDS)
            return
        try:
            epoch = self._epoch()
            await self._in_thread(lambda: self._place.clear(but=epoch))
            try:
                await self._write(epoch)
            except IndexDamaged as error:
                logger.warning("The search index is made anew: %s", error)
                self._doubted = False
                path = self._place.path_of(epoch)
                await self._in_thread(lambda: shutil.rmtree(path, ignore_errors=True))
                await asyncio.sleep(TAKE_OVER_SECONDS)  # should it be damaged again and again
        finally:
            self._place.unlock(lock)

    async def _write(self, epoch: str) -> None:
        """Keep the index of this log up to it, until there is another log."""
        path = self._place.path_of(epoch)
        index = await self._in_thread(lambda: WritableIndex(path))
        try:
            await self._check_age(index)
            writing = _Writing(self, index, self._database, self._head, self._recent)
            while self._epoch() == epoch:
                if self._doubted:
                    raise IndexDamaged("a search could not read it")
                if not await writing.step():
                    await asyncio.sleep(POLL_SECONDS)
        finally:
            await asyncio.shield(self._in_thread(index.close))

    async def _check_age(self, index: WritableIndex) -> None:
        """Raise IndexDamaged for an index that has missed changes which the log has forgotten."""
        async with self._database.read() as connection:
            pruned = await read_pruned(connection)
        if index.state is not None and index.state.last < pruned:
            raise IndexDamaged("it is older than LOG_KEPT_DAYS")

    async def commit(self, index: WritableIndex, state: State) -> None:
        """Commit in a thread; a cancelled caller waits for the end, since the files are in use."""
        done = self._in_thread(lambda: index.commit(state))
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.wait([done], timeout=CLOSE_SECONDS)
            raise

    def _in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._executor, work)


class _Writing:
    """One writer's work: what it has put into the index, committed or not."""

    def __init__(
        self,
        follower: Follower,
        index: WritableIndex,
        database: Database,
        head: Callable[[], int],
        recent: Recent,
    ) -> None:
        self._follower = follower
        self._index = index
        self._database = database
        self._head = head
        self._recent = recent
        known = index.state
        if known is None:
            known = State(first=head() + 1, last=head())
            if known.last:
                logger.info("Making the search index of %d positions", known.last)
        self._first, self._last = known.first, known.last
        self._committed_at, self._reported_at = -COMMIT_SECONDS, monotonic()

    async def step(self) -> bool:
        """Do some of the work that there is; return whether there may be more at once."""
        # Without the log's tail, the same positions get other messages: under another epoch.
        head = self._head()
        more = True
        try:
            if self._last < head:
                await self._go_on(min(self._last + WINDOW, head))
            elif self._first > 1:
                await self._go_back(max(self._first - WINDOW, 1))
            else:
                more = False
        except LogBehind:
            more = False
        if self._is_due():
            before = self._index.state
            await self._follower.commit(self._index, State(self._first, self._last))
            self._committed_at = monotonic()
            self._report(before)
        return more

    def _is_due(self) -> bool:
        """Whether to commit: new messages soon, the older ones of a new index a few at a time."""
        known = self._index.state or State(first=self._last + 1, last=0)
        if self._index.added >= MAX_UNCOMMITTED or self._first == 1 < known.first <= self._last:
            return True
        is_new = self._index.added > 0 and known.last < self._last
        is_busy = self._index.added >= BUSY_MESSAGES
        pause = BUSY_COMMIT_SECONDS if is_busy else COMMIT_SECONDS
        return is_new and monotonic() - self._committed_at >= pause

    def _report(self, before: State | None) -> None:
        if self._first == 1:
            if before is not None and before.first > 1:
                logger.info("The search index is complete: %d positions", self._last)
        elif monotonic() - self._reported_at >= REPORT_SECONDS:
            self._reported_at = monotonic()
            done = self._last - self._first + 1
            logger.info("The search index has %d of %d positions", done, self._last)

    async def _go_on(self, upto: int) -> None:
        entries = self._recent(self._last, upto)
        if entries is None:
            texts, changed = await self._read(self._last, upto)
        else:
            texts = [text_of(entry) for entry in entries if isinstance(entry, StoredMessage)]
            changed = {id_ for entry in entries if (id_ := changed_by(entry)) is not None}
        # What stands past the last position, or before the first one, is read as it is now.
        known = {id_ for id_ in changed if self._first <= id_ <= self._last}
        if known:
            async with self._reading(upto) as connection:
                again = await read_texts_of(connection, known)
            self._index.remove(known)
            texts += again
        await self._put(texts)
        self._last = upto

    async def _read(self, after: int, upto: int) -> tuple[list[Text], set[int]]:
        async with self._reading(upto) as connection:
            texts = await read_texts(connection, after, upto)
            return texts, await read_changed(connection, after, upto)

    @asynccontextmanager
    async def _reading(self, upto: int) -> AsyncIterator[AsyncConnection]:
        """Lend a connection that sees the log up to here. Raises LogBehind.

        A replica may lag: what it lacks would be left out for ever.
        """
        async with self._database.read() as connection:
            if await head_position(connection) < upto:
                raise LogBehind
            yield connection

    async def _go_back(self, first: int) -> None:
        # With the last changes of these messages: nobody will look for them again.
        async with self._reading(self._last) as connection:
            texts = await read_texts(connection, first - 1, self._first - 1)
        await self._put(texts)
        self._first = first

    async def _put(self, texts: Sequence[Text]) -> None:
        """Add messages; those without a text are not searched for. The loop has its turns."""
        found = [text for text in texts if text.text]
        for start in range(0, len(found), SLICE):
            self._index.add(found[start : start + SLICE])
            await asyncio.sleep(0)
