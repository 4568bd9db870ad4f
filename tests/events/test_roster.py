"""Who is online, told between processes: everybody agrees, and nobody gets stuck."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

import msgspec
import pytest

from events import roster as module
from events.bus.bus import Topic
from events.roster import EVERYBODY, Told
from tests.events.lossy_bus import LossyBus, Network
from tests.events.processes import GRACE, LEASE, RENEWAL, SWEEP, Process, Processes
from tests.faults.waits import until
from tests.support.presence import connected
from tests.support.redis import Redis, redis_server
from tests.support.virtual_time import in_virtual_time

ALICE, BOB, CAROL = 1, 2, 3
# What the loop may be late by, on a busy machine.
SLACK = 1.0
SECONDS = 5.0


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A private Redis; skips where there is none."""
    with redis_server() as server:
        yield server


@pytest.fixture(params=["hub", "redis"])
async def processes(request: pytest.FixtureRequest) -> AsyncIterator[Processes]:
    """On the bus of the tests' own, and on Redis."""
    server: Redis | None = None
    if request.param == "redis":
        server = request.getfixturevalue("redis")
    async with AsyncExitStack() as stack:
        yield Processes(stack, server.url if server else None)


@asynccontextmanager
async def _networked(number: int, **seconds: float) -> AsyncIterator[tuple[Network, list[Process]]]:
    async with AsyncExitStack() as stack:
        processes = Processes(stack, None)
        yield processes.network, [await processes.start(**seconds) for _ in range(number)]


async def _all_count(holders: int, *processes: Process) -> None:
    """Wait until each of them knows that so many processes hold Alice."""
    await until(
        lambda: all(process.roster.holders(ALICE) == holders for process in processes),
        SECONDS,
    )


async def test_arrivals_and_departures_are_seen_by_all_and_recorded_once(
    processes: Processes,
) -> None:
    everyone = [await processes.start() for _ in range(3)]
    with connected(everyone[1].presence, ALICE):
        for process in everyone:
            await process.hears(ALICE, True)
            assert process.presence.is_online(ALICE)
    for process in everyone:
        await process.hears(ALICE, False)
        assert process.said(ALICE) == [True, False]
        assert [*process.presence.online_ids] == []
    assert [process.recorded for process in everyone] == [[], [ALICE], []]


async def test_a_user_of_two_processes_is_online_until_both_are_left(
    processes: Processes,
) -> None:
    one, two, three = [await processes.start() for _ in range(3)]
    with ExitStack() as second:
        with connected(one.presence, ALICE):
            second.enter_context(connected(two.presence, ALICE))
            await until(
                lambda: all(p.roster.holders(ALICE) == 2 for p in (one, two, three)), SECONDS
            )
        await until(lambda: all(p.roster.holders(ALICE) == 1 for p in (one, two, three)), SECONDS)
        await asyncio.sleep(3 * GRACE)
        assert all(process.presence.is_online(ALICE) for process in (one, two, three))
    for process in (one, two, three):
        await process.hears(ALICE, False)
        assert process.said(ALICE) == [True, False]


async def test_leaving_two_processes_at_once_is_recorded(processes: Processes) -> None:
    one, two = await processes.start(), await processes.start()
    with connected(one.presence, ALICE), connected(two.presence, ALICE):
        await _all_count(2, one, two)
    # Each hears of the other's loss after its own: neither was the last to hold, as it saw it.
    for process in (one, two):
        await process.hears(ALICE, False)
    assert one.recorded + two.recorded in ([ALICE], [ALICE, ALICE])


async def test_moving_to_another_process_within_the_grace_is_nothing(
    processes: Processes,
) -> None:
    one, two = [await processes.start(grace_seconds=0.5) for _ in range(2)]
    for _ in range(5):
        for process in (one, two):
            with connected(process.presence, ALICE):
                await until(lambda: one.roster.holders(ALICE) > 0, SECONDS)
                await until(lambda: two.roster.holders(ALICE) > 0, SECONDS)
    for process in (one, two):
        await process.hears(ALICE, False)
        assert process.said(ALICE) == [True, False]
    assert one.recorded + two.recorded == [ALICE]


async def test_a_new_process_learns_of_everybody_at_once(processes: Processes) -> None:
    patient = {"renewal_seconds": 30.0, "sweep_seconds": 30.0, "lease_seconds": 90.0}
    one, two = [await processes.start(**patient) for _ in range(2)]
    with ExitStack() as held:
        for user_id in range(1, 501):
            held.enter_context(connected((one, two)[user_id % 2].presence, user_id))
        await until(
            lambda: len(one.presence.online_ids) == len(two.presence.online_ids) == 500, SECONDS
        )
        for _ in range(5):
            late = await processes.start(**patient)
            await until(lambda: len(late.presence.online_ids) == 500, 2)  # noqa: B023  # awaited at once


async def test_a_process_that_ends_cleanly_holds_nobody_from_then_on(
    processes: Processes,
) -> None:
    one, two = [await processes.start(lease_seconds=30) for _ in range(2)]
    with connected(one.presence, ALICE), connected(two.presence, BOB):
        await two.hears(ALICE, True)
        await one.close()
        await two.hears(ALICE, False, seconds=2)
        # It recorded that itself; its connections may end after it has.
        assert (one.recorded, two.recorded) == ([ALICE], [])
    await asyncio.sleep(0.3)
    assert two.said(ALICE) == [True, False]
    assert two.roster._table.peers == {}


@in_virtual_time
async def test_what_a_process_does_after_its_end_brings_nobody_back() -> None:
    async with _networked(2, lease_seconds=30) as (_, [one, two]):
        tabs = ExitStack()
        with connected(one.presence, ALICE), connected(one.presence, BOB):
            await two.hears(BOB, True)
            tabs.enter_context(connected(one.presence, CAROL))
            # Somebody has just asked, so the answer to the next who asks is put off.
            two.roster._publish({}, asks=EVERYBODY)
            two.roster._publish({}, asks=EVERYBODY)
            await two.hears(CAROL, True)
            await one.close()
        tabs.close()
        for user_id in (ALICE, BOB, CAROL):
            await two.hears(user_id, False)
        await asyncio.sleep(2.5 * module.STATEMENT_SECONDS)
        assert [*two.presence.online_ids] == []
        assert all(two.said(user_id) == [True, False] for user_id in (ALICE, BOB, CAROL))


async def test_a_silent_process_is_dropped_after_its_lease_and_not_before(
    processes: Processes,
) -> None:
    one, two, three = [await processes.start() for _ in range(3)]
    with connected(one.presence, ALICE), connected(one.presence, BOB), connected(two.presence, BOB):
        for process in (two, three):
            await until(lambda: process.roster._table.holders == {ALICE: 1, BOB: 2}, SECONDS)  # noqa: B023  # awaited at once
        await asyncio.sleep(2 * LEASE)  # alive and saying so
        assert two.said(ALICE) == [True]
        await one.vanish()
        began = time.monotonic()
        for process in (two, three):
            await process.hears(ALICE, False)
        # Its last renewal may have been one renewal ago.
        took = time.monotonic() - began
        assert LEASE - RENEWAL <= took < LEASE + SWEEP + GRACE + SLACK
        assert two.said(BOB) == three.said(BOB) == [True]
        # Nobody lives who could record it: whoever saw it does.
        await until(lambda: two.recorded == three.recorded == [ALICE], SECONDS)


@in_virtual_time
async def test_a_lost_change_is_healed_at_the_next_word() -> None:
    async with _networked(2, renewal_seconds=0.1) as (network, [one, two]):
        with connected(one.presence, ALICE):
            await two.hears(ALICE, True)
            network.fate = lambda topic, payload: []
            with ExitStack() as held:
                held.enter_context(connected(one.presence, BOB))
                held.enter_context(connected(one.presence, CAROL))
                network.fate = lambda topic, payload: [0]
                for user_id in (BOB, CAROL):
                    await two.hears(user_id, True, seconds=2)
                network.fate = lambda topic, payload: []
            network.fate = lambda topic, payload: [0]
            for user_id in (BOB, CAROL):
                await two.hears(user_id, False, seconds=2)
            assert two.said(ALICE) == [True]


@in_virtual_time
async def test_a_hole_before_a_change_is_healed_without_a_renewal() -> None:
    async with _networked(2, renewal_seconds=30, lease_seconds=90) as (network, [one, two]):
        network.fate = lambda topic, payload: []
        with connected(one.presence, ALICE):
            network.fate = lambda topic, payload: [0]
            with connected(one.presence, BOB):
                for user_id in (ALICE, BOB):
                    await two.hears(user_id, True, seconds=2)


@in_virtual_time
async def test_any_loss_delay_and_doubling_is_healed() -> None:
    chance = random.Random(5)

    def unreliable(topic: Topic, payload: bytes) -> list[float]:
        return [chance.random() * 0.03 for _ in range(chance.choice([0, 1, 1, 2]))]

    async with _networked(3, lease_seconds=30, renewal_seconds=0.1) as (network, everyone):
        network.fate = unreliable
        with ExitStack() as stay:

            async def visit(number: int) -> None:
                mine = random.Random(number)
                for _ in range(15):
                    with connected(mine.choice(everyone).presence, number % 4):
                        await asyncio.sleep(mine.random() * 0.03)
                if number % 4 < 2:
                    stay.enter_context(connected(mine.choice(everyone).presence, number % 4))

            await asyncio.gather(*(visit(number) for number in range(12)))
            await until(lambda: all({*p.presence.online_ids} == {0, 1} for p in everyone), SECONDS)
            network.fate = lambda topic, payload: [0]
            await asyncio.sleep(0.5)
            assert all({*process.presence.online_ids} == {0, 1} for process in everyone)
        await until(lambda: not any(process.presence.online_ids for process in everyone), SECONDS)
        for process in everyone:
            for user_id in range(4):
                said = process.said(user_id)
                assert said == [True, False] * (len(said) // 2)


@in_virtual_time
async def test_the_whole_set_is_not_asked_for_nor_sent_without_end() -> None:
    async with _networked(4, lease_seconds=30, renewal_seconds=1) as (network, everyone):
        with ExitStack() as held:
            network.fate = lambda topic, payload: [] if random.random() < 0.5 else [0]
            network.said.clear()
            for user_id in range(2000):
                held.enter_context(connected(everyone[0].presence, user_id))
                if user_id % 50 == 0:
                    await asyncio.sleep(0.005)
            spoken = [module._decoder.decode(payload) for _, payload in network.said]
            # Three ask, each five times a second; one answers, five times a second.
            assert sum(news.whole for news in spoken) < 20
            assert sum(news.whole or not news.keys for news in spoken) < 70
            network.fate = lambda topic, payload: [0]
            with connected(everyone[0].presence, 5000):
                await until(
                    lambda: all(len(p.presence.online_ids) == 2001 for p in everyone), SECONDS
                )


@in_virtual_time
async def test_while_the_bus_is_away_nobody_is_dropped_and_then_each_has_a_lease() -> None:
    async with _networked(3) as (network, [one, two, three]):
        with connected(one.presence, ALICE), connected(three.presence, BOB):
            for user_id in (ALICE, BOB):
                await two.hears(user_id, True)
            for bus in network.buses:
                bus.connected = False
            with connected(one.presence, CAROL):
                await one.vanish()  # nobody can hear of it
                await asyncio.sleep(2 * LEASE)
                assert two.said(ALICE) == two.said(BOB) == [True]
                for process in (two, three):
                    assert isinstance(process.bus, LossyBus)
                    process.bus.connected = True
                began = asyncio.get_running_loop().time()
                await two.hears(ALICE, False)
                assert (
                    LEASE
                    <= asyncio.get_running_loop().time() - began
                    < LEASE + 2 * SWEEP + GRACE + SLACK
                )
            assert two.said(BOB) == [True]
            assert two.said(CAROL) == []


@in_virtual_time
async def test_changes_during_an_outage_are_told_when_it_is_over() -> None:
    patient = {"renewal_seconds": 30.0, "lease_seconds": 90.0}
    async with _networked(2, **patient) as (network, [one, two]), AsyncExitStack() as held:
        with connected(one.presence, ALICE):
            await two.hears(ALICE, True)
            for bus in network.buses:
                bus.connected = False
            await asyncio.sleep(3 * SWEEP)
        held.enter_context(connected(one.presence, BOB))
        held.enter_context(connected(two.presence, CAROL))
        for bus in network.buses:
            bus.connected = True
        await two.hears(ALICE, False, seconds=2)
        await two.hears(BOB, True, seconds=2)
        await one.hears(CAROL, True, seconds=2)


async def test_redis_restarting_empty_or_hanging_drops_nobody(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        processes = Processes(stack, redis.url)
        one, two = await processes.start(), await processes.start()
        with connected(one.presence, ALICE):
            await two.hears(ALICE, True)
            await asyncio.to_thread(redis.kill)
            with connected(two.presence, BOB):
                await asyncio.sleep(2 * LEASE)
                assert two.said(ALICE) == [True]
                await asyncio.to_thread(redis.start)
                await one.hears(BOB, True)
            await one.hears(BOB, False)
            assert two.said(ALICE) == one.said(ALICE) == [True]
        await two.hears(ALICE, False)


@in_virtual_time
async def test_what_another_version_says_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    async with _networked(2) as (network, [one, two]):
        strangers = [
            b"",
            b"\xc1",
            b"\xff" * 100,
            msgspec.msgpack.encode([b"x", 1]),
            msgspec.msgpack.encode([b"x", "one", False, {}]),
            msgspec.msgpack.encode([b"x", -1, False, {}]),
            msgspec.msgpack.encode([b"x", 1, False, {-1: [BOB]}]),
            msgspec.msgpack.encode([b"x", 1, False, {1: [None]}]),
            msgspec.msgpack.encode([b"x", 1, False, [BOB]]),
            msgspec.msgpack.encode({"process": b"x"}),
        ]
        stranger = network.bus()
        for payload in strangers:
            stranger.publish(Topic.ROSTER, payload)
        with connected(one.presence, ALICE):
            await two.hears(ALICE, True)
        assert len(caplog.records) == 2  # each says so once
        assert not any(record.exc_info for record in caplog.records)
        # One that speaks our words but never answers holds nobody, for one lease.
        for news in (
            Told(b"x", 7, False, {}),
            Told(b"x", 9, False, {1: [BOB]}),
            Told(b"never heard of", 1, False, {}, ends=True),
        ):
            stranger.publish(Topic.ROSTER, module._encoder.encode(news))
        await until(lambda: not two.presence.online_ids, SECONDS)
        await until(lambda: b"x" not in two.roster._table.peers, SECONDS)
        assert two.said(BOB) == []
