"""Counts that several processes share through Redis, while it is there and while it is not."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count

import pytest
from limits import RateLimitItem, RateLimitItemPerSecond

from events.bus.bus import LoneBus
from events.bus.redis_bus import RedisBus
from resolvers.guards.limits import counts as module
from resolvers.guards.limits.counts import Counts, Full, Hit
from tests.support.held import held_counts
from tests.support.redis import Redis, redis_server

PATIENCE_SECONDS = 10.0


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A private Redis; skips where there is none."""
    with redis_server() as server:
        yield server


@pytest.fixture
def item(request: pytest.FixtureRequest) -> RateLimitItem:
    """A rate of the test's own."""
    return RateLimitItemPerSecond(10, 60, namespace=request.node.name)


@asynccontextmanager
async def processes(redis: Redis, item: RateLimitItem, number: int) -> AsyncIterator[list[Counts]]:
    """What so many processes count with, which hear of each other."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(number):
            bus = RedisBus(redis.url, prefix="test")
            counts = Counts(bus, redis_url=redis.url, prefix="test")
            counts.share(item)
            await bus.start()
            stack.push_async_callback(bus.close)
            stack.push_async_callback(counts.close)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not bus.connected:  # noqa: ASYNC110  # it has no event to wait for
                    await asyncio.sleep(0.01)
            made.append(counts)
        yield made


async def until(true: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)


async def test_a_limit_holds_exactly_across_processes(redis: Redis, item: RateLimitItem) -> None:
    async with processes(redis, item, 2) as [one, two]:
        hit = Hit(item, "a")
        full = await asyncio.gather(*(c.count(hit) for _ in range(10) for c in (one, two)))
        assert full.count(None) == 10
        for refused in (await one.count(hit), await two.check(hit)):
            assert refused is not None
            assert refused.item is item
            assert 50 < refused.wait <= 60
        assert await two.count(Hit(item, "b")) is None


async def test_of_several_hits_all_are_counted_or_none(redis: Redis, item: RateLimitItem) -> None:
    wide = RateLimitItemPerSecond(20, 60, namespace=f"{item.namespace}-wide")
    async with processes(redis, item, 2) as [one, two]:
        for number in range(3):
            for _ in range(10):
                await (one, two)[number % 2].count(Hit(item, f"{number}"), Hit(wide, "all"))
        # The third had no room in the one that it shares: it has all of its own.
        assert await one.check(Hit(item, "2")) is None
        refused = await one.count(Hit(item, "2"), Hit(wide, "all"))
        assert refused is not None
        assert refused.item is wide
        assert await one.check(Hit(item, "0")) is not None


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "with Redis"])
async def test_refusals_leave_no_key(redis: Redis, item: RateLimitItem, shared: bool) -> None:
    bus = RedisBus(redis.url, prefix="test")
    counts = Counts(bus, redis_url=redis.url if shared else None, prefix="refusals")
    for _ in range(10):
        assert await counts.count(Hit(item, "a")) is None
    for number in range(200):
        other = RateLimitItemPerSecond(10, 60, namespace=f"{item.namespace}-other")
        assert await counts.count(Hit(other, f"{number}"), Hit(item, "a")) is not None
        assert await counts.check(Hit(other, f"{number}")) is None
    assert held_counts(counts) == 1
    if shared:
        assert redis.execute("KEYS refusals:counts:*") == "*1"
    await counts.close()


async def test_a_flood_of_one_kind_forgets_nothing_of_another(item: RateLimitItem) -> None:
    counts = Counts(LoneBus(), redis_url=None, prefix="test")
    other = RateLimitItemPerSecond(10, 60, namespace=f"{item.namespace}-other")
    await counts.add(Hit(item, "a"), 10)
    for number in range(100_000):
        counts.count_now(other, f"{number}")
    assert counts.check_here(Hit(item, "a")) is not None
    assert held_counts(counts) < 30_000


async def test_more_is_added_as_far_as_there_is_room(redis: Redis, item: RateLimitItem) -> None:
    async with processes(redis, item, 2) as [one, two]:
        hit = Hit(item, "a")
        assert await one.count(hit) is None
        await one.add(hit, 6)
        assert await two.check(hit) is None
        await one.add(hit, 6)
        assert isinstance(await two.check(hit), Full)


async def test_what_cannot_wait_is_told_soon(redis: Redis, item: RateLimitItem) -> None:
    async with processes(redis, item, 2) as [one, two]:
        assert [one.count_now(item, "a") for _ in range(10)] == [0] * 10
        assert one.count_now(item, "a") > 0
        started = asyncio.get_running_loop().time()
        await until(lambda: two.check_here(Hit(item, "a")) is not None)
        assert asyncio.get_running_loop().time() - started < 1
        assert two.count_now(item, "a") > 0
        assert two.count_now(item, "b") == 0


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_without_redis_each_process_counts_and_then_both_again(
    redis: Redis, item: RateLimitItem, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "parley.counts")
    async with processes(redis, item, 2) as [one, two]:
        hit = Hit(item, "a")
        assert await one.count(hit) is None
        await asyncio.to_thread(redis.kill if how == "killed" else redis.pause)
        try:
            async with asyncio.timeout(module.TIMEOUT_SECONDS * 3):
                full = [await one.count(hit) for _ in range(12)]
                others = [Hit(item, f"b{number}") for number in range(100)]
                await asyncio.gather(*(one.count(other) for other in others))
            assert [refused is None for refused in full] == [True] * 9 + [False] * 3
            assert await two.count(hit) is None  # it knows only of its own
        finally:
            await asyncio.to_thread(redis.start if how == "killed" else redis.resume)
        said = [record.getMessage() for record in caplog.records if record.name == "parley.counts"]
        assert len([text for text in said if "each process limits by itself" in text]) == 2

        async def together(key: str) -> bool:
            await one.count(Hit(item, key))
            await one.add(Hit(item, key), 9)
            return await two.check(Hit(item, key)) is not None

        tries = count()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await together(f"c{next(tries)}"):  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.1)
        said = [record.getMessage() for record in caplog.records if record.name == "parley.counts"]
        assert sorted(said)[:2] == ["Redis counts again"] * 2
        assert len(said) == 4  # once for each outage of each
