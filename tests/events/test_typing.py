"""Typing: told seldom, merged, over by itself, and by a message; in every process alike."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest

from events import typing as typing_module
from events.bus.bus import LoneBus, Topic
from events.facts import Activity, TypingChanged
from events.typing import EXPIRY_SECONDS, REPEAT_SECONDS, Typing
from tests.events.lossy_bus import Network
from tests.support.inbox import Inbox
from tests.support.virtual_time import in_virtual_time

ALICE, BOB, CAROL = 1, 2, 3
GROUP = 7
TYPING, RECORDING, NONE = Activity.TYPING, Activity.RECORDING, Activity.NONE
SOON = 0.2  # more than a window

Told = list[tuple[float, int, Activity]]


class Message(msgspec.Struct, frozen=True):
    """A message, as far as typing looks."""

    id: int = 1
    created_at: datetime = datetime(2026, 1, 2, tzinfo=UTC)
    sender_id: int = ALICE
    receiver_id: int | None = BOB
    content: str = "x"
    conversation_id: int = 3
    metadata_json: str | None = None


def does(activity: Activity, user_id: int = ALICE, peer_id: int | None = BOB) -> TypingChanged:
    """A change of now; without a peer, in the group."""
    place = GROUP if peer_id is None else 3
    return TypingChanged(user_id, activity, datetime.now(UTC), peer_id, place)


@asynccontextmanager
async def hearing(typing: Typing, viewer_id: int = BOB) -> AsyncIterator[Told]:
    """Everything that the viewer is told, and after how many seconds."""
    began = asyncio.get_running_loop().time()
    told: Told = []

    async def read() -> None:
        with typing.watch(viewer_id) as watch:
            async for changes in watch:
                after = round(asyncio.get_running_loop().time() - began, 1)
                told.extend((after, change.user_id, change.activity) for change in changes)

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    try:
        yield told
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        assert viewer_id not in typing._watches, "the watch stayed"


def processes(
    network: Network, number: int = 2, apart: Mapping[int, Collection[int]] | None = None
) -> Sequence[Typing]:
    """Processes that share a bus, in which Bob and Carol are in the group."""
    members = {GROUP: (ALICE, BOB, CAROL)}
    return [
        Typing(network.bus(), apart=apart, members=lambda id_: members[id_]) for _ in range(number)
    ]


@in_virtual_time
async def test_it_is_told_at_once_and_over_after_six_seconds_in_every_process() -> None:
    here, there = processes(Network())
    async with hearing(here) as near, hearing(there) as far:
        here.change(does(TYPING))
        await asyncio.sleep(EXPIRY_SECONDS + 1)
        assert near == far == [(0, ALICE, TYPING), (EXPIRY_SECONDS, ALICE, NONE)]
    assert not here.known
    assert not there.known


@in_virtual_time
async def test_what_is_said_again_soon_is_merged_and_lasts_on() -> None:
    here, there = processes(Network())
    async with hearing(there) as told:
        for _ in range(30):
            here.change(does(TYPING))
            await asyncio.sleep(0.1)
        await asyncio.sleep(20)
        typed = [(after, activity) for after, _, activity in told]
        assert typed == [(0, TYPING), (2, TYPING), (4, TYPING), (10, NONE)]


@in_virtual_time
async def test_of_what_is_merged_the_latest_is_told() -> None:
    here, there = processes(Network())
    async with hearing(there) as told:
        for activity in (TYPING, RECORDING, TYPING, RECORDING):
            here.change(does(activity))
        await asyncio.sleep(REPEAT_SECONDS + SOON)
        assert [activity for _, _, activity in told] == [TYPING, RECORDING]


@in_virtual_time
async def test_a_stop_is_told_at_once_and_cancels_what_waits() -> None:
    here, there = processes(Network())
    async with hearing(there) as told:
        here.change(does(TYPING))
        await asyncio.sleep(0.5)
        here.change(does(TYPING))
        here.change(does(NONE))
        here.change(does(NONE))
        await asyncio.sleep(20)
        assert told == [(0, ALICE, TYPING), (0.5, ALICE, NONE)]


@in_virtual_time
async def test_who_starts_and_stops_all_the_time_is_told_seldom() -> None:
    here, there = processes(Network())
    async with hearing(there) as told:
        for _ in range(100):
            here.change(does(TYPING))
            await asyncio.sleep(0.05)
            here.change(does(NONE))
            await asyncio.sleep(0.05)
        assert len(told) <= 2 * (10 / REPEAT_SECONDS + 1)


@in_virtual_time
async def test_two_processes_together_tell_no_more_often_than_one() -> None:
    network = Network()
    one, other, third = processes(network, 3)
    async with hearing(third) as told:
        for _ in range(40):
            one.change(does(TYPING))
            other.change(does(TYPING))
            await asyncio.sleep(0.1)
        assert len(told) <= 4 / REPEAT_SECONDS + 2


@in_virtual_time
async def test_a_stop_in_another_process_is_told() -> None:
    one, other = processes(Network())
    async with hearing(one) as near, hearing(other) as far:
        one.change(does(TYPING))
        await asyncio.sleep(0.5)
        other.change(does(NONE))
        await asyncio.sleep(20)
        assert near == far == [(0, ALICE, TYPING), (0.5, ALICE, NONE)]


@in_virtual_time
async def test_a_message_ends_it_and_what_waits() -> None:
    here, there = processes(Network())
    async with hearing(here) as near, hearing(there) as far:
        here.change(does(TYPING))
        await asyncio.sleep(1)
        here.change(does(TYPING))
        for process in (here, there):
            process.end(Message(receiver_id=CAROL))  # in another conversation
            process.end(Message(receiver_id=None))
            process.end(Message(sender_id=BOB, receiver_id=ALICE))
        await asyncio.sleep(0.5)
        assert [activity for _, _, activity in near] == [TYPING]
        for process in (here, there):
            process.end(Message())
        await asyncio.sleep(20)
        assert near == far == [(0, ALICE, TYPING), (1.5, ALICE, NONE)]


@in_virtual_time
async def test_without_a_bus_the_own_process_goes_on_telling() -> None:
    network = Network()
    here, there = processes(network)
    network.buses[0].connected = False
    async with hearing(here) as near, hearing(there) as far:
        here.change(does(TYPING))
        await asyncio.sleep(EXPIRY_SECONDS + 1)
        assert [activity for _, _, activity in near] == [TYPING, NONE]
        assert far == []


@in_virtual_time
async def test_a_process_that_dies_leaves_nobody_typing() -> None:
    network = Network()
    here, there = processes(network)
    async with hearing(there) as told:
        here.change(does(TYPING))
        await asyncio.sleep(1)
        network.buses[0].connected = False
        await asyncio.sleep(EXPIRY_SECONDS)
        assert told == [(0, ALICE, TYPING), (EXPIRY_SECONDS, ALICE, NONE)]


@in_virtual_time
async def test_nobody_else_hears_of_it_nor_oneself() -> None:
    [here] = processes(Network(), 1)
    async with hearing(here, ALICE) as own, hearing(here, CAROL) as other:
        here.change(does(TYPING))
        await asyncio.sleep(20)
        assert own == other == []


@in_virtual_time
async def test_the_members_of_a_group_hear_of_it_but_for_oneself() -> None:
    here, there = processes(Network())
    async with hearing(here, ALICE) as own, hearing(there, BOB) as bob, hearing(here, CAROL) as c:
        here.change(does(RECORDING, peer_id=None))
        await asyncio.sleep(1)
        there.end(Message(receiver_id=None, conversation_id=GROUP + 1))
        await asyncio.sleep(1)
        assert own == []
        assert bob == c == [(0, ALICE, RECORDING)]
        for process in (here, there):
            process.end(Message(receiver_id=None, conversation_id=GROUP))
        await asyncio.sleep(1)
        assert bob == c == [(0, ALICE, RECORDING), (2, ALICE, NONE)]


@in_virtual_time
async def test_nothing_is_told_between_blocked_people() -> None:
    apart = {ALICE: {BOB}, BOB: {ALICE}}
    here, there = processes(Network(), apart=apart)
    async with hearing(there) as told, hearing(there, CAROL) as other:
        here.change(does(TYPING))
        here.change(does(TYPING, peer_id=None))
        await asyncio.sleep(20)
        assert told == []
        assert [activity for _, _, activity in other] == [TYPING, NONE]


@in_virtual_time
async def test_a_block_ends_it_and_what_waits() -> None:
    apart: dict[int, set[int]] = {}
    here, there = processes(Network(), apart=apart)
    async with hearing(there) as told:
        here.change(does(TYPING))
        await asyncio.sleep(1)
        here.change(does(TYPING))
        apart.update({ALICE: {BOB}, BOB: {ALICE}})
        for process in (here, there):
            process.part(BOB, ALICE, True)
        await asyncio.sleep(20)
        assert told == [(0, ALICE, TYPING), (1, ALICE, NONE)]


@in_virtual_time
async def test_a_slow_reader_gets_the_latest_of_each_and_older_ones_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(typing_module, "MOST_WAITING", 3)
    typing = Typing(LoneBus())
    with typing.watch(BOB) as watch:
        for user_id in range(10, 15):
            typing.change(does(TYPING, user_id))
        await asyncio.sleep(REPEAT_SECONDS)
        typing.change(does(RECORDING, 13))
        changes = await anext(aiter(watch))
        said = [(change.user_id, change.activity) for change in changes]
        assert said == [(12, TYPING), (14, TYPING), (13, RECORDING)]
    await typing.close()


@in_virtual_time
async def test_a_crowd_takes_bounded_memory_and_the_oldest_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(typing_module, "MOST_KNOWN", 5)
    typing = Typing(LoneBus())
    async with hearing(typing) as told:
        for user_id in range(10, 30):
            typing.change(does(TYPING, user_id))
            await asyncio.sleep(SOON)
        assert len(typing.known) == 5
        ended = [user_id for _, user_id, activity in told if activity is NONE]
        assert ended == [*range(10, 25)]


@in_virtual_time
async def test_what_comes_together_is_told_together() -> None:
    typing = Typing(LoneBus())
    pieces: Inbox[int] = Inbox()

    async def read() -> None:
        with typing.watch(BOB) as watch:
            async for changes in watch:
                pieces.put(len(changes))

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    for user_id in range(10, 110):
        typing.change(does(TYPING, user_id))
        await asyncio.sleep(0.001)
    await asyncio.sleep(1)
    assert sum(pieces.items) == 100
    assert len(pieces.items) <= 3
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    await typing.close()


@in_virtual_time
async def test_what_another_version_says_is_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = Network()
    [here] = processes(network, 1)
    async with hearing(here) as told:
        for payload in (b"", b"\xc1", msgspec.msgpack.encode([1]), msgspec.msgpack.encode({})):
            network.buses[0].hear(Topic.TYPING, payload)
        here.change(does(TYPING))
        await asyncio.sleep(1)
        assert len(told) == 1
    assert len(caplog.records) == 1
