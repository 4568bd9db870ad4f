"""Facts in the feed and for its process: each once, in order, and no hole that stops anybody."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from events.control import Control
from events.facts import (
    BlockChanged,
    Fact,
    Processes,
    SessionEnded,
    Unreadable,
)
from tests.events.test_feed import ALICE, BOB, CAROL, START, Line, Reader, feed_of, listen
from tests.faults.waits import until

Entries = list[Line | Fact]


class Log:
    """The truth: messages and facts at dense positions, until some are removed."""

    def __init__(self) -> None:
        self.entries: Entries = []
        self.head = 0
        self.made = 0

    def append(self, *kinds: type) -> Entries:
        """Add a message for each Line, and a fact with a body of each other kind."""
        new: Entries = []
        for kind in kinds:
            self.head += 1
            self.made += 1
            at = START + timedelta(seconds=self.made)
            if kind is Line:
                new.append(Line(self.head, created_at=at))
                continue
            body: Any = SessionEnded((self.head,))
            if kind is BlockChanged:
                body = BlockChanged(BOB, True)
            new.append(Fact(self.head, at, ALICE, Processes(), body))
        self.entries += new
        return new

    def remove(self, *positions: int) -> None:
        """Remove entries, as after LOG_KEPT_DAYS."""
        self.entries = [entry for entry in self.entries if entry.id not in positions]

    def cut(self, position: int) -> None:
        """Lose everything past a position."""
        self.entries = [entry for entry in self.entries if entry.id <= position]
        self.head = position

    async def read_head(self) -> int:
        """The last position."""
        return self.head

    async def read_entries(self, after: int, upto: int, limit: int) -> Entries:
        """A page."""
        return [entry for entry in self.entries if after < entry.id <= upto][:limit]

    async def read_written(self, after: int, limit: int) -> tuple[int, Entries]:
        """The head and a page, where it is written."""
        return self.head, await self.read_entries(after, self.head, limit)


class Process:
    """A feed, a reader of its messages, and what its listeners were told."""

    def __init__(self, log: Log, poll_seconds: float | None) -> None:
        self.control = Control()
        self.feed = feed_of(log, poll_seconds=lambda: poll_seconds, control=self.control)
        self.reader = Reader()
        self.told: list[int] = []
        self.losses = 0
        for kind in (BlockChanged, SessionEnded):
            self.control.listen(kind, lambda fact, body: self.told.append(fact.id))
        self.control.on_loss(self._lose)

    def _lose(self) -> None:
        self.losses += 1


@asynccontextmanager
async def _process(log: Log, poll_seconds: float | None = 0.05) -> AsyncIterator[Process]:
    process = Process(log, poll_seconds)
    await process.feed.start()
    listen(process.feed, CAROL, process.reader)
    try:
        yield process
    finally:
        await process.feed.close()


MIXTURE = (Line, SessionEnded, Line, BlockChanged, BlockChanged, Line)


@pytest.mark.parametrize("announced", [True, False])
async def test_messages_go_to_readers_and_facts_to_listeners_each_once(announced: bool) -> None:
    log = Log()
    async with _process(log) as process:
        fact = log.append(*MIXTURE)
        if announced:
            process.feed.announce(fact)
            process.feed.announce(fact)
        assert await process.reader.reach(6) == [1, 3, 6]
        assert process.told == [2, 4, 5]
        assert process.control.position == process.feed.position == 6
        recent = process.feed.recent(CAROL, 0, 6)
        assert recent is not None
        assert [line.id for line in recent] == [1, 3, 6]


async def test_what_decides_is_handed_over_once_and_other_facts_again_in_their_turn() -> None:
    log = Log()
    async with _process(log, None) as process:
        batch = log.append(*MIXTURE)
        facts = [entry for entry in batch if isinstance(entry, Fact)]
        process.control.hand_over_early([facts[1]], 4)
        assert (process.told, process.control.position) == ([4], 4)
        process.control.hand_over_early([facts[1], facts[2]], 6)
        process.feed.announce(batch)
        assert process.told == [4, 5, 2]
        assert process.reader.ids == [1, 3, 6]
        # One's own is applied at once, and again past an older one of another process: else the
        # older one would be the last that is heard.
        both = log.append(SessionEnded, SessionEnded)
        process.control.hand_over_early(_facts(both)[1:], 8)
        assert process.told[3:] == [8]
        process.feed.announce(both)
        assert process.told[3:] == [8, 7, 8]


def _facts(entries: Sequence[Line | Fact]) -> list[Fact]:
    return [entry for entry in entries if isinstance(entry, Fact)]


async def test_a_listener_that_fails_is_nobody_elses_trouble(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = Log()
    async with _process(log) as process:

        def fail(fact: Fact, body: SessionEnded) -> None:
            raise ValueError("it fails")

        process.control.listen(SessionEnded, fail)
        later: list[int] = []
        process.control.listen(SessionEnded, lambda fact, body: later.append(fact.id))
        process.feed.announce(log.append(SessionEnded, Line))
        assert (process.told, later, process.reader.ids) == ([1], [1], [2])
    assert "A listener failed on the fact at 1" in caplog.text


async def test_a_fact_that_cannot_be_read_is_passed_over() -> None:
    log = Log()
    async with _process(log) as process:
        batch = log.append(SessionEnded, Line)
        unreadable = Fact(1, START, None, Processes(), Unreadable("of.a.later.version"))
        process.feed.announce([unreadable, *batch[1:]])
        assert (process.told, process.reader.ids) == ([], [2])


@pytest.mark.parametrize("gone", [(2,), (1, 2), (2, 4, 5), (4, 5, 6), (1, 2, 3, 4, 5, 6)])
async def test_positions_that_hold_nothing_stop_nobody(
    gone: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    async with _process(log) as process:
        log.append(*MIXTURE)
        log.remove(*gone)
        await until(lambda: process.feed.position == 6, 5)
        assert process.reader.ids == [id_ for id_ in (1, 3, 6) if id_ not in gone]
        assert process.told == [id_ for id_ in (2, 4, 5) if id_ not in gone]
        process.feed.announce(log.append(BlockChanged, Line))
        assert process.reader.ids[-1] == 8
        assert process.losses == 0
    assert "holds nothing" in caplog.text
    assert "lost" not in caplog.text


@pytest.mark.parametrize("new", [(), (BlockChanged,), (Line, SessionEnded, Line, BlockChanged)])
async def test_a_lost_tail_of_facts_is_noticed_and_followed(
    new: tuple[type, ...], caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    async with _process(log) as process:
        process.feed.announce(log.append(*MIXTURE))
        process.control.hand_over_early((), 6)
        log.cut(3)
        log.append(*new)
        await until(lambda: process.losses == 1, 5)
        await until(lambda: process.feed.position == 3 + len(new), 5)
        assert process.control.position == process.feed.position
        assert process.told == [2, 4, 5, *(e.id for e in _facts(log.entries) if e.id > 3)]
        process.feed.announce(log.append(Line))
        assert process.reader.ids[-1] == 4 + len(new)
    assert "The log has lost its last 3 positions, 4 to 6" in caplog.text


def _note(order: list[int], fact: Fact, body: object) -> None:
    order.append(fact.id)


async def test_two_processes_see_the_same_order() -> None:
    log = Log()
    async with _process(log) as one, _process(log, 0.02) as two:
        seen: tuple[list[int], list[int]] = ([], [])
        for process, order in zip((one, two), seen, strict=True):
            for kind in (BlockChanged, SessionEnded):
                process.control.listen(kind, partial(_note, order))
        for number in range(30):
            batch = log.append(*(MIXTURE[: number % 6 + 1]))
            (one if number % 2 else two).feed.announce(batch)
            await asyncio.sleep(0.002)
        await until(lambda: one.feed.position == two.feed.position == log.head, 10)
        assert seen[0] == seen[1] == [entry.id for entry in _facts(log.entries)]
        assert one.reader.ids == two.reader.ids


def test_a_listener_in_order_hears_when_the_follower_is_there_and_never_before() -> None:
    log, control = Log(), Control()
    early: list[int] = []
    in_order: list[int] = []
    control.listen(BlockChanged, lambda fact, _: early.append(fact.id))
    control.listen_in_order(BlockChanged, lambda fact, _: in_order.append(fact.id))
    _, block, later = log.append(Line, BlockChanged, BlockChanged)
    assert isinstance(block, Fact)
    assert isinstance(later, Fact)
    control.hand_over_early([block], 2)
    assert (early, in_order) == ([2], [])
    control.hand_over(block)
    control.hand_over(later)
    assert (early, in_order) == ([2, 3], [2, 3])
