"""Notices: committed changes that every process hears of, each once, within a second.

The database is the truth and is looked at every half second; the bus only says that there is
something to look at now.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from time import monotonic
from typing import Generic, TypeVar

from events.bus.bus import Bus, Topic
from events.facts import NoticeGiven

logger = logging.getLogger("parley.notices")

N = TypeVar("N", bound=NoticeGiven)

# Reads the notices past an id, and those of some lower ids, in order, at most `limit` of them.
ReadNotices = Callable[[int, Collection[int], int], Awaitable[Sequence[N]]]
ReadLast = Callable[[], Awaitable[int]]

POLL_SECONDS = 0.5
PAGE = 500
# A transaction takes its notice's number before it commits, so a lower number may appear after a
# higher one. It is looked for as long as a transaction of ours can last, and somewhat more.
MISSING_SECONDS = 60.0
# Beyond, the lowest numbers are looked for no more. Numbers that never come are rare: those of
# transactions that were rolled back.
MAX_MISSING = 200


class Notices(Generic[N]):
    """Hands each notice to those who listen to its kind.

    What was committed before `start` is not handed out: a listener that keeps a state reads it
    after `start`, and then misses nothing.
    """

    def __init__(self, *, read_notices: ReadNotices[N], read_last: ReadLast, bus: Bus) -> None:
        self._read_notices = read_notices
        self._read_last = read_last
        self._bus = bus
        self._listeners: defaultdict[str, list[Callable[[N], None]]] = defaultdict(list)
        self._position = 0
        self._missing: dict[int, float] = {}  # and until when it is looked for
        self._handed_early: set[int] = set()  # past the position, by this process itself
        self._look = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        bus.subscribe(Topic.NOTICES, lambda _: self._look.set())

    def listen(self, kind: str, listener: Callable[[N], None]) -> None:
        """Call the listener, on the loop, with each notice of the kind."""
        self._listeners[kind].append(listener)

    def announce(self, notices: Iterable[N]) -> None:
        """Hand out what this process has just committed; have the others look."""
        for notice in notices:
            if notice.id > self._position:
                self._handed_early.add(notice.id)
            elif self._missing.pop(notice.id, None) is None:
                continue  # the follower was faster
            self._hand_out(notice)
        self._bus.publish(Topic.NOTICES, b"")

    async def start(self) -> None:
        """Begin with what is committed from now on."""
        last = await self._read_last()
        self._position = max(0, last - MAX_MISSING)
        # A transaction that has taken a lower number may be about to commit.
        there = {n.id for n in await self._read_notices(self._position, (), MAX_MISSING)}
        self._miss(id_ for id_ in range(self._position + 1, last + 1) if id_ not in there)
        self._position = last
        self._follower = asyncio.create_task(self._follow(), name="notices")

    async def close(self) -> None:
        """End the following."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
            self._follower = None

    async def _follow(self) -> None:
        failing = False
        while True:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._look.wait()
            except TimeoutError:
                pass  # nobody said anything: it looks all the same
            self._look.clear()
            try:
                await self._read()
                failing = False
            except Exception as error:
                # One traceback for an outage, however often it is tried.
                logger.error(
                    "Could not read the notices past %d; trying again (%r)",
                    self._position,
                    error,
                    exc_info=not failing,
                )
                failing = True
                await asyncio.sleep(POLL_SECONDS)

    async def _read(self) -> None:
        while True:
            now = monotonic()
            for id_ in [id_ for id_, until in self._missing.items() if until < now]:
                del self._missing[id_]
            page = await self._read_notices(self._position, [*self._missing], PAGE)
            for notice in page:
                self._take(notice)
            if len(page) < PAGE:
                return

    def _take(self, notice: N) -> None:
        if notice.id > self._position:
            lowest = max(self._position + 1, notice.id - MAX_MISSING)
            self._miss(id_ for id_ in range(lowest, notice.id) if id_ not in self._handed_early)
            self._position = notice.id
            handed = notice.id in self._handed_early
            self._handed_early = {id_ for id_ in self._handed_early if id_ > notice.id}
            if handed:
                return
        elif self._missing.pop(notice.id, None) is None:
            return  # this process announced it while it was being read
        self._hand_out(notice)

    def _miss(self, ids: Iterable[int]) -> None:
        until = monotonic() + MISSING_SECONDS
        for id_ in ids:
            self._missing[id_] = until
        for id_ in sorted(self._missing)[: max(0, len(self._missing) - MAX_MISSING)]:
            del self._missing[id_]

    def _hand_out(self, notice: N) -> None:
        for listener in self._listeners[notice.kind]:
            try:
                listener(notice)
            except Exception:
                logger.exception("A listener failed on a notice of %s", notice.kind)
