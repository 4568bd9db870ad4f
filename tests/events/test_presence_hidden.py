"""Presence of somebody invisible: offline at once in every process, whichever is ahead."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from events.facts import PresenceChanged
from events.presence import Presence
from events.roster import Roster
from tests.events.lossy_bus import Network
from tests.support.presence import connected
from tests.support.virtual_time import in_virtual_time

ALICE, BOB = 1, 2
GRACE = 30.0
SOON = 0.5
AT = datetime(2026, 1, 2, tzinfo=UTC)


class Process:
    """A process's presence, whom it takes for invisible, and what it told and recorded."""

    def __init__(self, network: Network) -> None:
        self.invisible: set[int] = set()
        self.recorded: list[int] = []
        self.told: list[PresenceChanged] = []
        self.roster = Roster(network.bus())
        self.presence = Presence(
            grace_seconds=GRACE,
            record_last_seen=self._record,
            roster=self.roster,
            invisible=self.invisible,
        )
        self.presence.listen(self._tell)

    def _tell(self, window: Sequence[PresenceChanged]) -> None:
        self.told.extend(window)

    async def _record(self, user_ids: Collection[int], at: datetime) -> None:
        self.recorded.extend(user_ids)

    def apply(self, user_id: int, invisible: bool) -> None:
        """Take the fact from the log."""
        (self.invisible.add if invisible else self.invisible.discard)(user_id)
        self.presence.hide(user_id, invisible, AT)

    def said(self, user_id: int = ALICE) -> list[bool]:
        """Whether the user was online, as it was told."""
        return [change.online for change in self.told if change.user_id == user_id]

    async def close(self) -> None:
        await self.presence.close()
        await self.roster.close()


async def processes(number: int = 2) -> list[Process]:
    network = Network()
    made = [Process(network) for _ in range(number)]
    for process in made:
        await process.roster.start()
    return made


@in_virtual_time
async def test_who_becomes_invisible_is_offline_at_once_and_back_at_once() -> None:
    here, there = await processes()
    with connected(here.presence, ALICE), connected(there.presence, ALICE):
        await asyncio.sleep(SOON)
        for process in (here, there):
            process.apply(ALICE, True)
        await asyncio.sleep(SOON)
        for process in (here, there):
            assert process.said() == [True, False]
            assert process.told[-1].last_seen_at == AT
            assert not process.presence.is_online(ALICE)
            assert process.presence.is_here(ALICE)
            assert process.presence.snapshot(BOB) == []
        for process in (there, here):
            process.apply(ALICE, False)
        await asyncio.sleep(SOON)
        assert here.said() == there.said() == [True, False, True]
        assert here.roster.holders(ALICE) == 2
    assert here.recorded == there.recorded == []
    for process in (here, there):
        await process.close()


@in_virtual_time
async def test_who_is_invisible_comes_and_goes_unseen_and_unrecorded() -> None:
    here, there = await processes()
    for process in (here, there):
        process.apply(ALICE, True)
    for _ in range(3):
        with ExitStack() as stack:
            for process in (here, there, here):
                stack.enter_context(connected(process.presence, ALICE))
            await asyncio.sleep(SOON)
            assert not there.presence.is_online(ALICE)
        await asyncio.sleep(2 * GRACE)
    assert here.told == there.told == []
    assert here.recorded == there.recorded == []
    assert not here.presence._unseen
    for process in (here, there):
        await process.close()


@in_virtual_time
async def test_a_process_that_is_behind_shows_nobody_and_loses_nobody() -> None:
    here, there = await processes()
    with connected(here.presence, ALICE):
        await asyncio.sleep(SOON)
        there.apply(ALICE, True)  # before the process that holds her
        await asyncio.sleep(SOON)
        with connected(here.presence, BOB):
            await asyncio.sleep(SOON)
            assert there.said() == [True, False]
            here.apply(ALICE, True)
            await asyncio.sleep(SOON)
            assert there.said() == here.said() == [True, False]
            with connected(there.presence, ALICE):
                here.apply(ALICE, False)  # before the other one
                await asyncio.sleep(SOON)
                assert there.said() == [True, False]
                there.apply(ALICE, False)
                await asyncio.sleep(SOON)
                assert there.said() == [True, False, True]
                there.apply(ALICE, True)
                here.apply(ALICE, True)
                await asyncio.sleep(SOON)
                del there.told[1:-1], here.told[1:-1]
            here.apply(ALICE, False)
            await asyncio.sleep(SOON)
            assert there.said() == [True, False]
            there.apply(ALICE, False)
            await asyncio.sleep(SOON)
            assert there.said() == here.said() == [True, False, True]
            assert {*there.presence.online_ids} == {ALICE, BOB}
    for process in (here, there):
        await process.close()


@in_virtual_time
async def test_who_becomes_invisible_within_the_grace_is_offline_at_once() -> None:
    here, there = await processes()
    with connected(here.presence, ALICE):
        await asyncio.sleep(SOON)
    await asyncio.sleep(SOON)
    for process in (here, there):
        process.apply(ALICE, True)
    await asyncio.sleep(SOON)
    assert here.said() == there.said() == [True, False]
    await asyncio.sleep(2 * GRACE)
    assert here.said() == there.said() == [True, False]
    assert here.recorded == there.recorded == []
    for process in (here, there):
        await process.close()


@in_virtual_time
async def test_a_departure_is_recorded_as_before_once_one_is_visible_again() -> None:
    here, there = await processes()
    for process in (here, there):
        process.apply(ALICE, True)
    with connected(here.presence, ALICE):
        for process in (here, there):
            process.apply(ALICE, False)
        await asyncio.sleep(SOON)
    await asyncio.sleep(2 * GRACE)
    assert here.said() == there.said() == [True, False]
    assert here.recorded == [ALICE]
    for process in (here, there):
        await process.close()
