"""The live feed: follows the log and hands each entry, in order and once, to whom it is for."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from events.facts import EntriesAppended, Entry

logger = logging.getLogger("parley.feed")

E = TypeVar("E", bound=Entry)
E_contra = TypeVar("E_contra", bound=Entry, contravariant=True)

# Reads the log's entries with after < position <= upto, in order, at most `limit` of them.
ReadEntries = Callable[[int, int, int], Awaitable[Sequence[E]]]
ReadHead = Callable[[], Awaitable[int]]

PAGE = 500
RETRY_SECONDS = 1.0
# Batches of two processes may be announced out of order: the earlier one gets so long to come
# before it is read from the log.
HOLE_SECONDS = 0.02
# Batches kept meanwhile; beyond, they are read from the log too.
MAX_EARLY = 100
# What an entry weighs beside its content, roughly, for the limits in bytes.
ENTRY_BYTES = 300


class Sink(Protocol[E_contra]):
    """Where a subscriber's entries go. `deliver` must not block; `size` is in bytes, roughly."""

    def deliver(self, item: E_contra, size: int) -> None:
        """Take an entry."""


class Feed(Generic[E]):
    """Everything up to `position` has been handed out; announcements move it on.

    An announcement is only a hint. A hole before it (one was lost, or a commit's fate was
    unknown) is read from the log before the feed goes on. Where other processes append too,
    `poll_seconds()` says how long after the last look the head is looked at unasked, in case
    the last announcement was lost; None where nobody else appends. `apart` says, live, who must
    not see whose entries for everybody.
    """

    def __init__(
        self,
        *,
        read_entries: ReadEntries[E],
        read_head: ReadHead,
        poll_seconds: Callable[[], float | None] = lambda: None,
        apart: Mapping[int, Collection[int]] | None = None,
    ) -> None:
        self._read_entries = read_entries
        self._read_head = read_head
        self._poll_seconds = poll_seconds
        self._apart = {} if apart is None else apart
        self._early: dict[int, Sequence[E]] = {}
        self._sinks: dict[int, set[Sink[E]]] = defaultdict(set)
        self._behind = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self.position = 0

    async def start(self) -> None:
        """Begin at the log's head."""
        self.position = await self._read_head()
        self._follower = asyncio.create_task(self._catch_up(), name="feed")

    async def close(self) -> None:
        """End the following."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
            self._follower = None

    def attach(self, user_id: int, sink: Sink[E]) -> None:
        """Deliver to the sink every entry past `position` that the user may see."""
        self._sinks[user_id].add(sink)

    def detach(self, user_id: int, sink: Sink[E]) -> None:
        """Deliver nothing more to the sink."""
        sinks = self._sinks.get(user_id, set())
        sinks.discard(sink)
        if not sinks:
            self._sinks.pop(user_id, None)

    def announce(self, fact: EntriesAppended[E]) -> None:
        """Hand out a committed batch, or what is missing before it first."""
        first = fact.entries[0].id
        if first <= self.position + 1:
            entries: Sequence[E] | None = fact.entries
            while entries is not None:
                for entry in entries:
                    if entry.id > self.position:
                        self._hand_out(entry)
                entries = self._early.pop(self.position + 1, None)
        else:
            if len(self._early) < MAX_EARLY:
                self._early[first] = fact.entries
            asyncio.get_running_loop().call_later(HOLE_SECONDS, self._fill, fact.entries[-1].id)

    def _fill(self, last: int) -> None:
        if self.position < last:
            self.catch_up()

    def catch_up(self) -> None:
        """Read what is missing from the log soon."""
        self._behind.set()

    async def _catch_up(self) -> None:
        failing = False
        while True:
            try:
                async with asyncio.timeout(self._poll_seconds()):
                    await self._behind.wait()
            except TimeoutError:
                logger.debug("Looking at the log's head unasked")
            self._behind.clear()
            try:
                await self._read_missing()
                failing = False
            except Exception as error:
                # One traceback for an outage, however often it is tried.
                logger.error(
                    "Could not read the log past %d; trying again (%r)",
                    self.position,
                    error,
                    exc_info=not failing,
                )
                failing = True
                await asyncio.sleep(RETRY_SECONDS)
                self._behind.set()

    async def _read_missing(self) -> None:
        head = await self._read_head()
        while self.position < head:
            before = self.position
            for entry in await self._read_entries(before, head, PAGE):
                # Announcements may have handed it out while the page was being read.
                if entry.id == self.position + 1:
                    self._hand_out(entry)
            if self.position == before:
                raise RuntimeError(f"the log has no entry at {before + 1}, below its head")
        for first in [first for first in self._early if first <= self.position]:
            del self._early[first]

    def _hand_out(self, entry: E) -> None:
        self.position = entry.id
        size = len(entry.content) + ENTRY_BYTES
        if entry.receiver_id is None:
            apart = self._apart.get(entry.sender_id)
            if apart is None:
                sinks = [sink for sinks in self._sinks.values() for sink in sinks]
            else:
                users = self._sinks.keys() - apart
                sinks = [sink for user_id in users for sink in self._sinks[user_id]]
        else:
            sinks = [*self._sinks.get(entry.sender_id, ())]
            if entry.receiver_id != entry.sender_id:
                sinks += self._sinks.get(entry.receiver_id, ())
        for sink in sinks:
            try:
                sink.deliver(entry, size)
            except Exception:
                logger.exception("A subscriber failed on position %d", entry.id)
