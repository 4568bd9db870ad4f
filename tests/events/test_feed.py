"""The feed: every entry once, in order, to whom it is for, whatever the announcements do."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from db.models import EVERYBODY_ID
from db.visibility import Visibility
from events import feed as feed_module
from events.connection import Connection
from events.control import Control
from events.feed import Feed
from events.hub import EVERYBODY, Hub
from events.remembered import REMEMBERED
from tests.support.inbox import Inbox

ALICE, BOB, CAROL = 1, 2, 3
START = datetime(2026, 1, 2, tzinfo=UTC)


class Line(msgspec.Struct, frozen=True):
    """An entry of the log, as far as the feed looks."""

    id: int
    sender_id: int = ALICE
    receiver_id: int | None = None
    content: str = "x"
    created_at: datetime = START
    conversation_id: int = EVERYBODY_ID
    metadata_json: str | None = None


class Log:
    """The truth: a list, which may be away or slow."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.made = 0
        self.behind = 0  # so many lines are not yet where plain reads read
        self.away = False
        self.reads: list[tuple[int, int]] = []
        self.reading = asyncio.Event()
        self.refused = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    def append(self, *lines: tuple[int, int | None]) -> Sequence[Line]:
        """Add lines of these senders and receivers."""
        self.made += 1
        at = START + timedelta(seconds=self.made)
        new = [Line(len(self.lines) + i, *line, created_at=at) for i, line in enumerate(lines, 1)]
        self.lines += new
        return new

    async def read_head(self) -> int:
        """The last position."""
        if self.away:
            self.refused.set()
            raise ConnectionError("the log is away")
        return len(self.lines) - self.behind

    async def read_written(self, after: int, limit: int) -> tuple[int, Sequence[Line]]:
        """The head and a page, where it is written."""
        if self.away:
            raise ConnectionError("the log is away")
        return len(self.lines), self.lines[after : after + limit]

    async def read_entries(self, after: int, upto: int, limit: int) -> Sequence[Line]:
        """A page."""
        self.reads.append((after, upto))
        self.reading.set()
        page = self.lines[after : min(upto, after + limit, len(self.lines) - self.behind)]
        await self.gate.wait()
        return page


class Reader(Inbox[Line]):
    """A sink that keeps all it gets."""

    def deliver(self, item: Line, size: int) -> None:
        """Take an entry."""
        assert size >= len(item.content)
        self.put(item)

    def interrupt(self) -> None:
        """Count it."""
        self.interruptions += 1

    interruptions = 0

    @property
    def ids(self) -> list[int]:
        """The positions it got."""
        return [line.id for line in self.items]

    async def reach(self, position: int) -> list[int]:
        """Wait for this position; return all that came."""
        await self.expect(lambda line: line.id == position)
        return self.ids


def listen(feed: Feed[Line], user_id: int, sink: Reader) -> Connection:
    """Deliver to the sink what the user may see."""
    connection = feed._hub.stream(user_id, None, checked_at=monotonic())
    connection.attach(sink)
    return connection


def feed_of(
    log: Any,
    *,
    hub: Hub | None = None,
    control: Control | None = None,
    apart: Mapping[int, Collection[int]] = MappingProxyType({}),
    **options: Any,
) -> Feed[Line]:
    """Return a feed of this log, which has not started."""
    return Feed(
        hub=hub or Hub(warning_seconds=0),
        read_entries=log.read_entries,
        read_head=log.read_head,
        read_written=log.read_written,
        visibility=Visibility(apart),
        control=control or Control(),
        **options,
    )


@asynccontextmanager
async def _feed(
    log: Log, poll_seconds: float | None = None, others: Callable[[], None] = lambda: None
) -> AsyncIterator[tuple[Feed[Line], Reader]]:
    feed = feed_of(log, poll_seconds=lambda: poll_seconds, others=others)
    await feed.start()
    reader = Reader()
    listen(feed, CAROL, reader)
    try:
        yield feed, reader
    finally:
        await feed.close()


BROADCAST = (ALICE, None)


async def test_it_begins_at_the_logs_end_and_hands_out_what_is_announced() -> None:
    log = Log()
    log.append(BROADCAST, BROADCAST)
    async with _feed(log) as (feed, reader):
        feed.announce(log.append(BROADCAST))
        feed.announce(log.append(BROADCAST, BROADCAST))
        assert reader.ids == [3, 4, 5]
        assert log.reads == []


async def test_each_entry_goes_to_its_two_people_and_a_broadcast_to_all() -> None:
    log = Log()
    async with _feed(log) as (feed, carol):
        alice, other_alice, bob = Reader(), Reader(), Reader()
        left = listen(feed, ALICE, alice)
        others = [listen(feed, ALICE, other_alice), listen(feed, BOB, bob)]
        feed.announce(log.append((ALICE, BOB), (BOB, ALICE), (ALICE, ALICE), (BOB, None)))
        assert (alice.ids, bob.ids, carol.ids) == ([1, 2, 3, 4], [1, 2, 4], [4])
        assert other_alice.ids == alice.ids
        left.detach(alice)
        feed.announce(log.append(BROADCAST))
        assert (alice.ids[-1], other_alice.ids[-1]) == (4, 5)
        for connection, reader in zip(others, (other_alice, bob), strict=True):
            connection.detach(reader)
            connection.detach(reader)
        assert feed._hub.sinks_at(EVERYBODY) == [carol]
        assert feed._hub._table.keys() == {EVERYBODY, CAROL}


async def test_a_lost_announcement_is_read_from_the_log() -> None:
    log = Log()
    async with _feed(log) as (feed, reader):
        log.append(BROADCAST, BROADCAST)
        feed.announce(log.append(BROADCAST))
        assert await reader.reach(3) == [1, 2, 3]
        log.append(BROADCAST)
        feed.catch_up()
        assert await reader.reach(4) == [1, 2, 3, 4]


async def test_announcements_in_any_order_and_twice_are_handed_out_once_in_order() -> None:
    log = Log()
    chance = random.Random(3)
    async with _feed(log) as (feed, reader):
        facts = [log.append(*[BROADCAST] * chance.randint(1, 4)) for _ in range(60)]
        facts = [fact for fact in facts for _ in range(chance.randint(0, 2))]  # some are lost
        chance.shuffle(facts)
        for fact in facts:
            feed.announce(fact)
            if chance.random() < 0.3:
                await asyncio.sleep(0)
        feed.announce(log.append(BROADCAST))
        last = len(log.lines)
        assert await reader.reach(last) == [*range(1, last + 1)]


async def test_many_pages_behind_it_reads_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PAGE", 7)
    log = Log()
    async with _feed(log) as (feed, reader):
        log.append(*[BROADCAST] * 100)
        feed.catch_up()
        assert await reader.reach(100) == [*range(1, 101)]
        assert len(log.reads) == 15


async def test_what_is_announced_while_a_hole_is_read_comes_once_and_is_not_left_behind() -> None:
    log = Log()
    async with _feed(log) as (feed, reader):
        log.append(BROADCAST, BROADCAST)
        log.gate.clear()
        feed.catch_up()
        await log.reading.wait()
        # The head was read before this; nothing else will ever be announced.
        feed.announce(log.append(BROADCAST))
        await asyncio.sleep(0)
        log.gate.set()
        assert await reader.reach(3) == [1, 2, 3]


async def test_an_announcement_may_overtake_the_reading_of_a_hole() -> None:
    log = Log()
    async with _feed(log) as (feed, reader):
        first = log.append(BROADCAST, BROADCAST)
        log.gate.clear()
        feed.catch_up()
        await log.reading.wait()
        feed.announce(first)
        feed.announce(log.append(BROADCAST))
        assert reader.ids == [1, 2, 3]
        log.gate.set()
        feed.announce(log.append(BROADCAST))
        assert await reader.reach(4) == [1, 2, 3, 4]


async def test_a_log_that_is_away_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feed_module, "RETRY_SECONDS", 0.01)
    log = Log()
    async with _feed(log) as (feed, reader):
        log.append(BROADCAST)
        log.away = True
        feed.catch_up()
        await asyncio.wait_for(log.refused.wait(), 5)
        log.away = False
        assert await reader.reach(1) == [1]
        assert "Could not read the log past 0" in caplog.text


async def test_a_subscriber_that_fails_is_nobody_elses_trouble(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Reader):
        def deliver(self, item: Line, size: int) -> None:
            raise ZeroDivisionError

    log = Log()
    async with _feed(log) as (feed, reader):
        other = Reader()
        for user, sink in ((ALICE, Broken()), (BOB, Broken()), (BOB, other)):
            listen(feed, user, sink)
        feed.announce(log.append(BROADCAST, BROADCAST))
        assert reader.ids == other.ids == [1, 2]
    assert "A subscriber failed on position 1" in caplog.text


async def test_a_subscriber_may_leave_while_it_is_being_told() -> None:
    log = Log()
    async with _feed(log) as (feed, reader):

        class Leaver(Reader):
            connection: Connection

            def deliver(self, item: Line, size: int) -> None:
                super().deliver(item, size)
                self.connection.detach(self)

        leavers = [Leaver(), Leaver()]
        for leaver in leavers:
            leaver.connection = listen(feed, BOB, leaver)
        feed.announce(log.append(BROADCAST, BROADCAST))
        assert reader.ids == [1, 2]
        assert [leaver.ids for leaver in leavers] == [[1], [1]]


async def test_the_last_entries_are_shown_from_memory() -> None:
    log = Log()
    feed = feed_of(log)
    feed.announce(log.append((ALICE, BOB), (BOB, None), (CAROL, ALICE), (ALICE, None)))

    def recent(user_id: int, after: int, upto: int, broadcasts_after: int = 0) -> list[int] | None:
        found = feed.recent(user_id, after, upto, broadcasts_after=broadcasts_after)
        return None if found is None else [line.id for line in found]

    assert recent(BOB, 0, 4) == [1, 2, 4]
    assert recent(ALICE, 0, 4) == [1, 2, 3, 4]
    assert recent(CAROL, 1, 3) == [2, 3]
    assert recent(BOB, 0, 4, broadcasts_after=3) == [1, 2, 4]  # its own are shown all the same
    assert recent(CAROL, 0, 4, broadcasts_after=3) == [3, 4]
    assert recent(BOB, 4, 4) == []
    assert recent(BOB, 0, 5) is None  # it has not come that far
    assert log.reads == []


async def test_what_the_feed_has_not_seen_is_not_in_its_memory() -> None:
    log = Log()
    log.append((ALICE, BOB))
    feed = feed_of(log)
    await feed.start()
    try:
        feed.announce(log.append((ALICE, BOB)))
        assert feed.recent(BOB, 0, 2) is None
        found = feed.recent(BOB, 1, 2)
        assert found is not None
        assert [line.id for line in found] == [2]
        pairs = [(ALICE, BOB)] * REMEMBERED
        feed.announce(log.append(*pairs))
        assert feed.recent(BOB, 1, feed.position) is None
        found = feed.recent(BOB, 2, feed.position)
        assert found is not None
        assert len(found) == REMEMBERED
    finally:
        await feed.close()


async def test_the_memory_leaves_out_who_is_apart() -> None:
    log = Log()
    feed = feed_of(log, apart={BOB: {ALICE}, ALICE: {BOB}})
    feed.announce(log.append((ALICE, None), (CAROL, None), (ALICE, BOB)))
    found = feed.recent(BOB, 0, 3)
    assert found is not None
    assert [line.id for line in found] == [2, 3]
