"""What several processes have of a key: known to all of them where a limit is near."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from events import tallies as module
from events.bus.bus import Bus, LoneBus, Topic
from events.bus.redis_bus import RedisBus
from events.tallies import Key, Tallies, Told
from tests.events.hub import Hub
from tests.faults.waits import until
from tests.support.redis import Redis, redis_server

SHARE, RENEWAL, LEASE = 0.02, 0.1, 0.4
SECONDS = 5.0
LIMIT = 12
ALICE, BOB = 1, 2


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARE_SECONDS", SHARE)
    monkeypatch.setattr(module, "RENEWAL_SECONDS", RENEWAL)
    monkeypatch.setattr(module, "LEASE_SECONDS", LEASE)


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A private Redis; skips where there is none."""
    with redis_server() as server:
        yield server


def limit_of(key: Key) -> int | None:
    """Names are not limited."""
    return LIMIT if isinstance(key, int) else None


async def start(stack: AsyncExitStack, bus: Bus) -> Tallies:
    tallies = Tallies(bus, limit_of=limit_of)
    await bus.start()
    stack.push_async_callback(bus.close)
    await tallies.start()
    stack.push_async_callback(tallies.close)
    return tallies


async def vanish(tallies: Tallies) -> None:
    """End as kill -9 would: without a word."""
    tallies._ended = True
    await tallies.close()


async def acquainted(*everyone: Tallies) -> None:
    await until(lambda: all(len(t._peers) == len(everyone) - 1 for t in everyone), SECONDS)


@asynccontextmanager
async def on_a_hub(number: int) -> AsyncIterator[tuple[Hub, list[Tallies]]]:
    async with AsyncExitStack() as stack:
        hub = Hub()
        everyone = [await start(stack, hub.bus()) for _ in range(number)]
        await acquainted(*everyone)
        yield hub, everyone


async def renewed(hub: Hub, everyone: list[Tallies], times: int) -> None:
    """Wait until each has told of everything so often again."""
    before = len(hub.said)

    def all_have() -> bool:
        said = [module._decoder.decode(payload) for _, payload in hub.said[before:]]
        whole = [news.process for news in said if news.whole]
        return all(whole.count(tallies._process) >= times for tallies in everyone)

    await until(all_have, SECONDS)


def told(hub: Hub) -> list[dict[Key, int]]:
    """What was said that says anything."""
    said = [module._decoder.decode(payload) for _, payload in hub.said]
    return [news.counts for news in said if news.counts]


async def test_a_key_is_known_to_all_once_one_of_them_has_its_share() -> None:
    async with on_a_hub(3) as (hub, [one, two, three]):
        one.change(ALICE, 3)
        two.change(ALICE, 1)
        three.change(ALICE, 3)
        three.change("a name", 1000)
        await renewed(hub, [one, two, three], 3)
        assert told(hub) == []  # nobody has a third of twelve
        one.change(ALICE, 1)
        await until(lambda: {t.count(ALICE) for t in (one, two, three)} == {8}, SECONDS)
        two.change(ALICE, 5)
        await until(lambda: {t.count(ALICE) for t in (one, two, three)} == {13}, SECONDS)
        for tallies, own in ((one, 4), (two, 6)):
            tallies.change(ALICE, -own)
        await until(lambda: {t.count(ALICE) for t in (one, two)} == {0}, SECONDS)
        assert three.count(ALICE) == 3
        await renewed(hub, [one, two, three], 2)
        hub.said.clear()
        await renewed(hub, [one, two, three], 3)
        assert told(hub) == []  # below a share it is nobody's business again


async def test_whoever_comes_hears_what_was_told_before() -> None:
    async with on_a_hub(2) as (hub, [one, two]), AsyncExitStack() as stack:
        one.change(ALICE, 8)
        two.change(BOB, 5)
        await until(lambda: two.count(ALICE) == 8, SECONDS)
        three = await start(stack, hub.bus())
        # With three of them five is a share, which it was not before.
        await until(lambda: (three.count(ALICE), three.count(BOB)) == (8, 5), SECONDS)
        await until(lambda: one.count(BOB) == 5, SECONDS)


async def test_nothing_is_said_again_and_again_while_nothing_changes() -> None:
    async with on_a_hub(3) as (hub, everyone):
        for number, tallies in enumerate(everyone):
            tallies.change(ALICE, 4 + number)
        await until(lambda: all(t.count(ALICE) == 15 for t in everyone), SECONDS)
        await until(lambda: not any(t._telling for t in everyone), SECONDS)
        hub.said.clear()
        await renewed(hub, everyone, 5)
        assert len(hub.said) <= 3 * 7


async def test_a_process_that_dies_has_nothing_after_a_lease_and_one_that_ends_at_once() -> None:
    async with on_a_hub(3) as (_, [one, two, three]):
        one.change(ALICE, 6)
        two.change(ALICE, 5)
        three.change(ALICE, 4)
        await until(lambda: three.count(ALICE) == 15, SECONDS)
        await one.close()
        await until(lambda: three.count(ALICE) == 9, LEASE / 2)
        one.change(ALICE, -1)  # a connection that ends later is nobody's business
        await vanish(two)
        await until(lambda: three.count(ALICE) == 4, LEASE + 3 * RENEWAL + 1)
        assert three._peers == {}


async def test_whatever_is_lost_a_limit_is_seen_by_all_and_nobody_sees_one_that_is_not() -> None:
    async with on_a_hub(4) as (hub, everyone):
        users = range(20)
        for _ in range(4):
            hub.fate = lambda topic, payload: random.choice([[], [0], [0.03], [0, 0.01]])
            for _ in range(400):
                tallies, user = random.choice(everyone), random.choice(users)
                by = random.choice([-1, 1, 1])
                if tallies._own.get(user, 0) + by >= 0:
                    tallies.change(user, by)
                if random.random() < 0.05:
                    await asyncio.sleep(0.01)
            hub.fate = lambda topic, payload: [0]

            def agreed() -> bool:
                for user in users:
                    total = sum(t._own.get(user, 0) for t in everyone)
                    seen = {t.count(user) for t in everyone}
                    if (seen != {total}) if total >= LIMIT else (max(seen) >= LIMIT):
                        return False
                return True

            await until(agreed, SECONDS)


async def test_while_the_bus_is_away_each_goes_by_its_own_and_then_by_all() -> None:
    async with on_a_hub(2) as (hub, [one, two]):
        one.change(ALICE, 7)
        two.change(ALICE, 6)
        await until(lambda: one.count(ALICE) == two.count(ALICE) == 13, SECONDS)
        for bus in hub.buses:
            bus.connected = False
        assert (one.count(ALICE), two.count(ALICE)) == (7, 6)
        two.change(ALICE, -6)
        await until(lambda: not one._peers and not two._peers, SECONDS)
        for bus in hub.buses:
            bus.connected = True
        assert one.count(ALICE) == 7  # nothing old comes back
        await until(lambda: two.count(ALICE) == 7, SECONDS)


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_redis_away_or_hanging_is_the_same(redis: Redis, how: str) -> None:
    async with AsyncExitStack() as stack:
        buses = [RedisBus(redis.url, prefix=f"tallies{how}") for _ in range(2)]
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


async def test_what_another_version_says_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    async with on_a_hub(2) as (hub, [one, two]):
        stranger = hub.bus()
        for payload in (b"", b"\xff" * 9, msgspec.msgpack.encode(["x", True, {"y": "z"}])):
            stranger.publish(Topic.TALLIES, payload)
        one.change(ALICE, 6)
        await until(lambda: two.count(ALICE) == 6, SECONDS)
        assert len(caplog.records) == 2  # each says so once
        assert not any(record.exc_info for record in caplog.records)
        stranger.publish(
            Topic.TALLIES, module._encoder.encode(Told("x", whole=False, counts={BOB: 9}))
        )
        await until(lambda: two.count(BOB) == 9, SECONDS)
        await until(lambda: two.count(BOB) == 0, SECONDS)


async def test_a_server_of_one_process_counts_for_itself() -> None:
    async with AsyncExitStack() as stack:
        alone = await start(stack, LoneBus())
        alone.change(ALICE, 2)
        alone.change("a name", 1)
        assert (alone.count(ALICE), alone.count("a name"), len(alone)) == (2, 1, 2)
        alone.change(ALICE, -2)
        alone.change("a name", -1)
        assert (alone.count(ALICE), len(alone)) == (0, 0)
