"""Presence at scale: a change costs the same however many watch, and is told in windows."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from datetime import datetime

from events.bus.bus import LoneBus, Topic
from events.facts import PresenceChanged
from events.latest import MOST_HOLES, Watch
from events.presence import Presence
from events.roster import Roster
from tests.events.lossy_bus import Network
from tests.faults.waits import until
from tests.support.presence import connected

CROWD = 2000
# Slices begin with few watches and double at most: a crowd is told in so many turns, at least.
LEAST_TURNS = 20


async def _record(user_ids: Collection[int], at: datetime) -> None:
    """Remember nothing."""


def _presence(**options: object) -> Presence:
    options.setdefault("roster", Roster(LoneBus()))
    return Presence(grace_seconds=0, record_last_seen=_record, **options)  # type: ignore[arg-type]  # of this test


async def _read(watch: Watch, left: set[int], chunks: list[Sequence[PresenceChanged]]) -> None:
    async for changes in watch:
        chunks.append(changes)
        left.difference_update(change.user_id for change in changes if not change.online)


async def _turns(over: asyncio.Event) -> int:
    """Count how often somebody else gets the loop."""
    turns = 0
    while not over.is_set():
        await asyncio.sleep(0)
        turns += 1
    return turns


async def test_many_who_leave_before_as_many_hold_nobody_up_and_are_told_in_few_pieces() -> None:
    presence = _presence()
    with ExitStack() as leaving:
        for user_id in range(CROWD):
            leaving.enter_context(connected(presence, user_id))
        lefts = [set(range(CROWD)) for _ in range(CROWD)]
        chunks: list[list[Sequence[PresenceChanged]]] = [[] for _ in range(CROWD)]
        watches = [presence.watch(CROWD + number) for number in range(CROWD)]
        readers = [
            asyncio.create_task(_read(*of)) for of in zip(watches, lefts, chunks, strict=True)
        ]
        await asyncio.sleep(0.1)
        over = asyncio.Event()
        turns = asyncio.create_task(_turns(over))
    await until(lambda: not any(lefts), 60)
    over.set()
    # Each window is told in slices: in one go it would take a dozen turns for all of them.
    assert await turns > LEAST_TURNS
    assert max(map(len, chunks)) <= 12
    # What was made of a piece can be shared: they are few for all watches together.
    assert len({id(chunk) for heard in chunks for chunk in heard}) < 200
    await until(lambda: len(presence._changes) == 0, 20)  # told, and let go of
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    await presence.close()


async def test_who_comes_and_goes_within_a_window_is_told_once_or_not_at_all() -> None:
    presence = _presence()
    told: list[PresenceChanged] = []
    presence.listen(told.extend)
    with connected(presence, 1):
        await asyncio.sleep(0.05)  # a lone change is told at once
        assert [change.user_id for change in told] == [1]
        for _ in range(20):
            with connected(presence, 2):
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.5)
        assert len(told) <= 5
        assert [change.online for change in told if change.user_id == 2] in (
            [],
            [True, False],
            [True, False, True, False],
        )
    await presence.close()


async def test_a_watch_that_is_never_read_does_not_make_the_changes_grow() -> None:
    presence = _presence()
    stuck = presence.watch(9)
    for _ in range(300):
        with ExitStack() as some:
            for user_id in range(20):
                some.enter_context(connected(presence, user_id))
            await asyncio.sleep(0)
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.5)
    assert len(presence._changes) <= 20
    assert len(presence._changes._row) <= 2 * 20 + MOST_HOLES + 2000
    changes, _ = presence._changes.read(stuck.position)
    assert {change.user_id for change in changes} == set(range(20))
    await presence.close()


async def test_arrivals_at_once_are_few_publications() -> None:
    network = Network()
    rosters = [Roster(network.bus()) for _ in range(2)]
    one, two = [_presence(roster=roster) for roster in rosters]
    for roster in rosters:
        await roster.start()
    network.said.clear()
    with ExitStack() as crowd:
        for user_id in range(10_000):
            crowd.enter_context(connected(one, user_id))
            if user_id % 500 == 0:
                await asyncio.sleep(0)
        await until(lambda: len(two.online_ids) == 10_000, 10)
        assert len([topic for topic, _ in network.said if topic is Topic.ROSTER]) < 40
        for presence in (one, two):
            await presence.close()
        for roster in rosters:
            await roster.close()
