"""Notices: each once, in every process, within a second, whatever the bus and the database do."""

import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from time import monotonic

import msgspec
import pytest

from events import notices as notices_module
from events.bus.bus import Bus, LoneBus, Topic
from events.notices import Notices
from tests.events.hub import Hub
from tests.support.inbox import Inbox


class Said(msgspec.Struct, frozen=True):
    """A notice, as far as its followers look."""

    id: int
    kind: str = "spoken"


class Table:
    """The truth: rows that may appear in any order; it may be away."""

    def __init__(self) -> None:
        self.rows: dict[int, Said] = {}
        self.away = False
        self.refusals: Inbox[None] = Inbox()
        self.asked: Inbox[tuple[int, ...]] = Inbox()

    def commit(self, *ids: int, kind: str = "spoken") -> list[Said]:
        """Have rows with these ids appear."""
        new = [Said(id_, kind) for id_ in ids]
        self.rows |= {said.id: said for said in new}
        return new

    async def read_last(self) -> int:
        """The greatest id."""
        return max(self.rows, default=0)

    async def read(self, after: int, missing: Collection[int], limit: int) -> Sequence[Said]:
        """Those past an id, and those of the missing that are there."""
        if self.away:
            self.refusals.put(None)
            raise ConnectionError("the database is away")
        self.asked.put(tuple(missing))
        found = [said for id_, said in self.rows.items() if id_ > after or id_ in missing]
        return sorted(found, key=lambda said: said.id)[:limit]


class Heard(Inbox[Said]):
    """What a listener was handed."""

    @property
    def ids(self) -> list[int]:
        """The notices' numbers."""
        return [said.id for said in self.items]

    async def reach(self, id_: int) -> list[int]:
        """Wait for this one; return all that came."""
        await self.expect(lambda said: said.id == id_)
        return self.ids


@asynccontextmanager
async def following(
    table: Table, bus: Bus | None = None
) -> AsyncIterator[tuple[Notices[Said], Heard]]:
    follower: Notices[Said] = Notices(
        read_notices=table.read, read_last=table.read_last, bus=bus or LoneBus()
    )
    heard = Heard()
    follower.listen("spoken", heard.put)
    await follower.start()
    try:
        yield follower, heard
    finally:
        await follower.close()


@pytest.fixture
def slow_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks unasked."""
    monkeypatch.setattr(notices_module, "POLL_SECONDS", 30.0)


async def test_what_another_process_commits_is_heard_within_a_second() -> None:
    table = Table()
    table.commit(1, 2)
    async with following(table) as (_, heard):
        started = monotonic()
        table.commit(3)
        assert await heard.reach(3) == [3]  # and what was there before, no more
        assert monotonic() - started < 1


@pytest.mark.usefixtures("slow_polls")
async def test_the_bus_makes_the_others_look_at_once() -> None:
    hub, table = Hub(), Table()
    async with following(table, hub.bus()) as (one, _), following(table, hub.bus()) as (_, heard):
        one.announce(table.commit(1))
        assert await heard.reach(1) == [1]


@pytest.mark.usefixtures("slow_polls")
async def test_who_announces_hears_it_at_once_and_once() -> None:
    hub, table = Hub(), Table()
    bus = hub.bus()
    async with following(table, hub.bus()) as (one, heard):
        one.announce(table.commit(2))
        assert heard.ids == [2]
        one.announce(table.commit(1))  # its transaction began earlier
        assert heard.ids == [2, 1]
        one.announce(table.commit(5))
        table.commit(4, 6)
        bus.publish(Topic.NOTICES, b"")
        assert await heard.reach(6) == [2, 1, 5, 4, 6]


async def test_listeners_hear_their_own_kind_and_one_that_fails_is_nobody_elses_trouble(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = Table()

    def fail(_: Said) -> None:
        raise ZeroDivisionError

    async with following(table) as (follower, heard):
        follower.listen("other", fail)
        other = Heard()
        follower.listen("other", other.put)
        follower.announce(table.commit(1, kind="other"))
        table.commit(2, kind="of a later version")
        table.commit(3)
        assert await heard.reach(3) == [3]
        assert other.ids == [1]
    assert [r.exc_info is not None for r in caplog.records if r.levelno == logging.ERROR] == [True]


async def test_lower_numbers_are_looked_for_a_while_and_not_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notices_module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(notices_module, "MISSING_SECONDS", 0.2)
    monkeypatch.setattr(notices_module, "MAX_MISSING", 5)
    table = Table()
    async with following(table) as (_, heard):
        table.commit(1, 3)
        await heard.reach(3)
        table.commit(2)
        assert await heard.reach(2) == [1, 3, 2]
        table.commit(1000)  # a server that jumps over numbers
        await heard.reach(1000)
        table.commit(996)
        assert await heard.reach(996) == [1, 3, 2, 1000, 996]
        table.asked.items.clear()
        await table.asked.expect(lambda missing: missing == ())
    assert max(len(missing) for missing in table.asked.items) == 4


async def test_an_outage_is_one_traceback_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notices_module, "POLL_SECONDS", 0.01)
    table = Table()
    async with following(table) as (_, heard):
        for first in (1, 3):
            caplog.clear()
            table.away = True
            table.refusals.items.clear()
            await table.refusals.expect_many(lambda _: True, 3)
            table.commit(first, first + 1)
            table.away = False
            await heard.reach(first + 1)
            errors = [r.exc_info for r in caplog.records if r.levelno == logging.ERROR]
            assert len(errors) >= 3
            assert [bool(error) for error in errors].count(True) == 1
    assert heard.ids == [1, 2, 3, 4]


async def test_many_at_once_are_read_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices_module, "PAGE", 3)
    table = Table()
    async with following(table) as (_, heard):
        table.commit(*range(1, 12))
        assert await heard.reach(11) == [*range(1, 12)]


async def test_closing_ends_the_following() -> None:
    async with following(Table()) as (follower, _):
        task = follower._follower
        assert task is not None
        await follower.close()
        assert task.cancelled()
        await follower.close()
