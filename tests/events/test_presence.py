"""Presence: counts connections, forgives a reload, and cannot get stuck."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime

import pytest

from events import presence as presence_module
from events.bus.bus import LoneBus
from events.facts import PresenceChanged
from events.presence import Presence
from events.roster import Roster
from tests.support.inbox import Inbox
from tests.support.presence import connected
from tests.support.virtual_time import in_virtual_time

ALICE, BOB = 1, 2
GRACE = 0.05


class Records:
    """What is remembered of departures; may fail or hang."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, datetime]] = []
        self.fail: Callable[[], None] = lambda: None
        self.gate = asyncio.Event()
        self.gate.set()

    async def record(self, user_ids: Collection[int], at: datetime) -> None:
        """Remember."""
        self.fail()
        await self.gate.wait()
        self.kept += [(user_id, at) for user_id in user_ids]


@asynccontextmanager
async def _presence(
    grace_seconds: float = GRACE,
) -> AsyncIterator[tuple[Presence, Inbox[PresenceChanged], Records]]:
    records = Records()
    presence = Presence(
        grace_seconds=grace_seconds,
        record_last_seen=records.record,
        roster=Roster(LoneBus()),
    )
    changes: Inbox[PresenceChanged] = Inbox()

    def take(window: Sequence[PresenceChanged]) -> None:
        for change in window:
            changes.put(change)

    presence.listen(take)
    yield presence, changes, records
    await presence.close()


async def _offline(changes: Inbox[PresenceChanged], user_id: int) -> PresenceChanged:
    return await changes.expect(lambda change: change.user_id == user_id and not change.online)


async def test_the_first_connection_arrives_and_the_last_departs() -> None:
    async with _presence() as (presence, changes, records):
        with ExitStack() as tabs:
            tabs.enter_context(connected(presence, ALICE))
            with connected(presence, ALICE), connected(presence, BOB):
                assert presence.is_online(ALICE)
                assert [*presence.online_ids] == [ALICE, BOB]
            await _offline(changes, BOB)
            assert [*presence.online_ids] == [ALICE]
        gone = await _offline(changes, ALICE)
        assert [*presence.online_ids] == []
        assert [(change.user_id, change.online) for change in changes.items] == [
            (ALICE, True),
            (BOB, True),
            (BOB, False),
            (ALICE, False),
        ]
        # Whoever hears of it and asks finds the time, which is when the connection ended.
        assert records.kept[-1] == (ALICE, gone.last_seen_at)
        assert gone.last_seen_at is not None
        assert 0 <= (datetime.now(UTC) - gone.last_seen_at).total_seconds() < 10


async def test_a_reload_is_nothing() -> None:
    async with _presence(grace_seconds=0.3) as (presence, changes, records):
        for _ in range(20):
            with connected(presence, ALICE):
                await asyncio.sleep(0)
            assert presence.is_online(ALICE)
        await _offline(changes, ALICE)
        assert len(changes.items) == 2
        assert len(records.kept) == 1


async def test_coming_back_while_the_departure_is_recorded_is_no_departure() -> None:
    async with _presence(grace_seconds=0) as (presence, changes, records):
        records.gate.clear()
        with connected(presence, ALICE):
            pass
        for _ in range(5):
            await asyncio.sleep(0.001)
        with connected(presence, ALICE):
            records.gate.set()
            with connected(presence, BOB):
                await changes.expect(lambda change: change.user_id == BOB)
            await _offline(changes, BOB)
            assert presence.is_online(ALICE)
        await _offline(changes, ALICE)
        assert [change.online for change in changes.items if change.user_id == ALICE] == [
            True,
            False,
        ]


async def test_many_connections_come_and_go_and_nobody_stays() -> None:
    async with _presence(grace_seconds=0.01) as (presence, changes, _):

        async def visit(user_id: int) -> None:
            for _ in range(20):
                with connected(presence, user_id):
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0.001 * user_id)

        await asyncio.gather(*(visit(number % 5) for number in range(30)))
        await changes.expect(lambda _: not presence.online_ids)
        for user_id in range(5):
            mine = [change.online for change in changes.items if change.user_id == user_id]
            assert mine == [True, False] * (len(mine) // 2)


async def test_a_connection_that_fails_is_given_back() -> None:
    async with _presence() as (presence, changes, _):
        for error in (ZeroDivisionError, asyncio.CancelledError):

            def hold(error: type[BaseException] = error) -> None:
                with connected(presence, ALICE):
                    raise error

            with pytest.raises(error):
                hold()
        await _offline(changes, ALICE)
        assert not presence.is_online(ALICE)


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
async def test_a_record_that_cannot_be_kept_leaves_nobody_online(
    trouble: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(presence_module, "RECORD_SECONDS", 0.05)

    def fail() -> None:
        raise ConnectionError("away")

    async with _presence() as (presence, changes, records):
        if trouble == "fails":
            records.fail = fail
        else:
            records.gate.clear()
        with connected(presence, ALICE):
            pass
        await _offline(changes, ALICE)
        assert not presence.is_online(ALICE)
        assert "Could not record when 1 users were last seen" in caplog.text


async def test_a_record_that_hangs_holds_a_crowd_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_module, "RECORD_SECONDS", 0.5)
    monkeypatch.setattr(presence_module, "MOST_AT_ONCE", 10)
    monkeypatch.setattr(presence_module, "LEAST_RECORD_SECONDS", 0.01)
    async with _presence() as (presence, changes, records):
        records.gate.clear()
        with ExitStack() as crowd:
            for user_id in range(200):
                crowd.enter_context(connected(presence, user_id))
        # In order; if each of the twenty batches took its time, they would take ten seconds.
        gone = await changes.expect_many(lambda change: not change.online, 200, 5)
        assert [change.user_id for change in gone] == [*reversed(range(200))]


async def test_coming_back_and_leaving_again_during_the_record_is_one_later_departure() -> None:
    async with _presence() as (presence, changes, records):
        records.gate.clear()
        with connected(presence, ALICE), connected(presence, BOB):
            pass
        await asyncio.sleep(2 * GRACE)  # their departures are being recorded now
        with connected(presence, ALICE):
            returned = datetime.now(UTC)
        records.gate.set()
        await _offline(changes, BOB)
        assert presence.is_online(ALICE)
        gone = await _offline(changes, ALICE)
        assert gone.last_seen_at is not None
        assert gone.last_seen_at >= returned
        assert len(changes.items) == 4


async def test_a_listener_that_fails_leaves_nobody_online(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(window: Sequence[PresenceChanged]) -> None:
        raise ZeroDivisionError

    async with _presence() as (presence, changes, _):
        presence._listeners.insert(0, fail)
        with connected(presence, ALICE):
            assert presence.is_online(ALICE)
        await _offline(changes, ALICE)
        assert not presence.is_online(ALICE)
    assert "A listener failed" in caplog.text


async def test_a_stop_is_no_departure_and_is_remembered() -> None:
    async with _presence(grace_seconds=30) as (presence, changes, records):
        with connected(presence, BOB):
            pass
        with connected(presence, ALICE):
            await asyncio.wait_for(presence.close(), 5)
        # The connections of a server that stops end after its presence has.
        assert {user_id for user_id, _ in records.kept} == {ALICE, BOB}
        assert all(change.online for change in changes.items)
        assert not [task for task in asyncio.all_tasks() if "departure" in task.get_name()]


@in_virtual_time
async def test_the_snapshot_and_the_changes_leave_no_gap() -> None:
    async with _presence(grace_seconds=0) as (presence, changes, _):
        over, moments = asyncio.Event(), random.Random(7)

        async def visit(user_id: int) -> None:
            while not over.is_set():
                with connected(presence, user_id):
                    await asyncio.sleep(moments.uniform(0, 0.02))
                await asyncio.sleep(moments.uniform(0, 0.02))

        visitors = [asyncio.create_task(visit(number)) for number in range(1, 6)]
        for _ in range(20):
            await changes.expect_many(lambda _: True, len(changes.items) + 3)
            with presence.watch(1) as watch:
                online = {*presence.online_ids}
                heard = aiter(watch)
                for _ in range(5):
                    async with asyncio.timeout(5):
                        latest = await anext(heard)
                    for change in latest:
                        (online.add if change.online else online.discard)(change.user_id)
                    # Nothing waits now, so what was heard is all there is to know.
                    assert online == {*presence.online_ids}
        over.set()
        await asyncio.gather(*visitors)
        assert not presence._watches
