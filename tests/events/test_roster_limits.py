"""What several processes have of a name: known to all of them where a limit is near."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from events import roster as module
from events.bus.bus import Bus, LoneBus, Topic
from events.bus.redis_bus import RedisBus
from events.roster import SILENT_RENEWALS, Roster, Told
from events.roster_table import Key
from tests.events.lossy_bus import Network
from tests.faults.waits import until
from tests.support.redis import Redis, redis_server
from tests.support.virtual_time import in_virtual_time

RENEWAL = 0.1
SILENCE = SILENT_RENEWALS * RENEWAL
LEASE = 60.0  # far longer than any test: limits must not wait for it
SECONDS = 5.0
LIMIT = 12
ALICE, BOB, FREE = "Alice's", "Bob's", "free"


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A private Redis; skips where there is none."""
    with redis_server() as server:
        yield server


def limit_of(name: str) -> int | None:
    """All but one are limited."""
    return None if name == FREE else LIMIT


async def start(stack: AsyncExitStack, bus: Bus) -> Roster:
    roster = Roster(bus, lease_seconds=LEASE, renewal_seconds=RENEWAL)
    roster.limit_names(limit_of)
    await bus.start()
    stack.push_async_callback(bus.close)
    await roster.start()
    stack.push_async_callback(roster.close)
    return roster


async def vanish(roster: Roster) -> None:
    """End as kill -9 would: without a word."""
    roster._ended = True
    await roster.close()


async def acquainted(*everyone: Roster) -> None:
    await until(lambda: all(t._table.processes == len(everyone) for t in everyone), SECONDS)


@asynccontextmanager
async def networked(number: int) -> AsyncIterator[tuple[Network, list[Roster]]]:
    async with AsyncExitStack() as stack:
        network = Network()
        everyone = [await start(stack, network.bus()) for _ in range(number)]
        await acquainted(*everyone)
        yield network, everyone


async def renewed(network: Network, everyone: list[Roster], times: int) -> None:
    """Wait until each has said so often again that it is alive."""
    before = len(network.said)

    def all_have() -> bool:
        said = [module._decoder.decode(payload) for _, payload in network.said[before:]]
        words = [news.process for news in said if not news.keys]
        return all(words.count(roster._process) >= times for roster in everyone)

    await until(all_have, SECONDS)


def told(network: Network) -> list[dict[int, list[Key]]]:
    """What was said that says anything."""
    said = [module._decoder.decode(payload) for _, payload in network.said]
    return [news.keys for news in said if news.keys]


@in_virtual_time
async def test_a_key_is_known_to_all_once_one_of_them_has_its_share() -> None:
    async with networked(3) as (network, [one, two, three]):
        one.change(ALICE, 3)
        two.change(ALICE, 1)
        three.change(ALICE, 3)
        three.change(FREE, 1000)
        await renewed(network, [one, two, three], 3)
        assert told(network) == []  # nobody has a third of twelve
        one.change(ALICE, 1)
        await until(lambda: {t.count(ALICE) for t in (one, two, three)} == {8}, SECONDS)
        two.change(ALICE, 5)
        await until(lambda: {t.count(ALICE) for t in (one, two, three)} == {13}, SECONDS)
        for roster, own in ((one, 4), (two, 6)):
            roster.change(ALICE, -own)
        await until(lambda: {t.count(ALICE) for t in (one, two)} == {0}, SECONDS)
        assert three.count(ALICE) == 3
        await renewed(network, [one, two, three], 2)
        network.said.clear()
        await renewed(network, [one, two, three], 3)
        assert told(network) == []  # below a share it is nobody's business again


@in_virtual_time
async def test_whoever_comes_hears_what_was_told_before() -> None:
    async with networked(2) as (network, [one, two]), AsyncExitStack() as stack:
        one.change(ALICE, 8)
        two.change(BOB, 5)
        await until(lambda: two.count(ALICE) == 8, SECONDS)
        three = await start(stack, network.bus())
        # With three of them five is a share, which it was not before.
        await until(lambda: (three.count(ALICE), three.count(BOB)) == (8, 5), SECONDS)
        await until(lambda: one.count(BOB) == 5, SECONDS)


@in_virtual_time
async def test_nothing_is_said_again_and_again_while_nothing_changes() -> None:
    async with networked(3) as (network, everyone):
        for number, roster in enumerate(everyone):
            roster.change(ALICE, 4 + number)
        await until(lambda: all(t.count(ALICE) == 15 for t in everyone), SECONDS)
        await until(lambda: not any(t._telling for t in everyone), SECONDS)
        network.said.clear()
        await renewed(network, everyone, 5)
        assert told(network) == []
        assert len(network.said) <= 3 * 7


@in_virtual_time
async def test_a_process_that_dies_has_nothing_after_a_silence_and_one_that_ends_at_once() -> None:
    async with networked(3) as (_, [one, two, three]):
        one.change(ALICE, 5)
        two.change(ALICE, 7)
        three.change(ALICE, 6)
        await until(lambda: three.count(ALICE) == 18, SECONDS)
        await one.close()
        await until(lambda: three.count(ALICE) == 13, RENEWAL)
        one.change(ALICE, -1)  # a connection that ends later is nobody's business
        await vanish(two)
        await until(lambda: three.count(ALICE) == 6, SILENCE + 3 * RENEWAL + 1)
        assert three._table.processes == 1


@in_virtual_time
async def test_whatever_is_lost_a_limit_is_seen_by_all_and_nobody_sees_one_that_is_not() -> None:
    async with networked(4) as (network, everyone):
        users = [f"{number}" for number in range(20)]
        for _ in range(4):
            network.fate = lambda topic, payload: random.choice([[], [0], [0.03], [0, 0.01]])
            for _ in range(400):
                roster, user = random.choice(everyone), random.choice(users)
                by = random.choice([-1, 1, 1])
                if roster.own(user) + by >= 0:
                    roster.change(user, by)
                if random.random() < 0.05:
                    await asyncio.sleep(0.01)
            network.fate = lambda topic, payload: [0]

            def agreed() -> bool:
                for user in users:
                    total = sum(t.own(user) for t in everyone)
                    seen = {t.count(user) for t in everyone}
                    if (seen != {total}) if total >= LIMIT else (max(seen) >= LIMIT):
                        return False
                return True

            await until(agreed, SECONDS)


@in_virtual_time
async def test_while_the_bus_is_away_each_goes_by_its_own_and_then_by_all() -> None:
    async with networked(2) as (network, [one, two]):
        one.change(ALICE, 7)
        two.change(ALICE, 6)
        await until(lambda: one.count(ALICE) == two.count(ALICE) == 13, SECONDS)
        for bus in network.buses:
            bus.connected = False
        assert (one.count(ALICE), two.count(ALICE)) == (7, 6)
        two.change(ALICE, -6)
        await until(lambda: one._table.processes == two._table.processes == 1, SECONDS)
        for bus in network.buses:
            bus.connected = True
        assert one.count(ALICE) == 7  # nothing old comes back
        await until(lambda: two.count(ALICE) == 7, SECONDS)


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_redis_away_or_hanging_is_the_same(redis: Redis, how: str) -> None:
    async with AsyncExitStack() as stack:
        buses = [RedisBus(redis.url, prefix=f"roster{how}") for _ in range(2)]
        one, two = [await start(stack, bus) for bus in buses]
        await acquainted(one, two)
        one.change(ALICE, 7)
        two.change(ALICE, 6)
        await until(lambda: one.count(ALICE) == two.count(ALICE) == 13, SECONDS)
        await asyncio.to_thread(redis.kill if how == "killed" else redis.pause)
        try:
            await until(lambda: (one.count(ALICE), two.count(ALICE)) == (7, 6), SECONDS)
            two.change(ALICE, -1)
        finally:
            await asyncio.to_thread(redis.start if how == "killed" else redis.resume)
        await until(lambda: one.count(ALICE) == two.count(ALICE) == 12, 2 * SECONDS)


@in_virtual_time
async def test_what_another_version_says_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    async with networked(2) as (network, [one, two]):
        stranger = network.bus()
        for payload in (b"", b"\xff" * 9, msgspec.msgpack.encode([b"x", 1, True, {"y": "z"}])):
            stranger.publish(Topic.ROSTER, payload)
        one.change(ALICE, 6)
        await until(lambda: two.count(ALICE) == 6, SECONDS)
        assert len(caplog.records) == 2  # each says so once
        assert not any(record.exc_info for record in caplog.records)
        stranger.publish(
            Topic.ROSTER, module._encoder.encode(Told(b"x", 1, whole=True, keys={9: [BOB]}))
        )
        await until(lambda: two.count(BOB) == 9, SECONDS)
        await until(lambda: two.count(BOB) == 0, SECONDS)


@in_virtual_time
async def test_a_server_of_one_process_counts_for_itself() -> None:
    async with AsyncExitStack() as stack:
        alone = await start(stack, LoneBus())
        alone.change(ALICE, 2)
        alone.change(FREE, 1)
        assert (alone.count(ALICE), alone.count(FREE), len(alone)) == (2, 1, 2)
        alone.change(ALICE, -2)
        alone.change(FREE, -1)
        assert (alone.count(ALICE), len(alone)) == (0, 0)
