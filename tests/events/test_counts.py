"""Counts that several processes share through Redis, while it is there and while it is not."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from limits import RateLimitItem, RateLimitItemPerSecond

from events import counts as module
from events.counts import Counts
from events.redis_bus import RedisBus
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
        waits = await asyncio.gather(*(c.take(item, "a") for _ in range(10) for c in (one, two)))
        assert [wait > 0 for wait in waits].count(False) == 10
        assert 50 < await one.take(item, "a") <= 60
        assert 50 < await two.wait(item, "a") <= 60
        assert await two.take(item, "b") == 0


async def test_more_is_added_as_far_as_there_is_room(redis: Redis, item: RateLimitItem) -> None:
    async with processes(redis, item, 2) as [one, two]:
        assert await one.take(item, "a") == 0
        await one.add(item, "a", amount=6)
        assert await two.wait(item, "a") == 0
        await one.add(item, "a", amount=6)
        assert await two.wait(item, "a") > 0
        await one.forget(item, "a")
        assert await two.wait(item, "a") == 0
        assert await one.wait(item, "a") == 0


async def test_what_cannot_wait_is_told_soon(redis: Redis, item: RateLimitItem) -> None:
    async with processes(redis, item, 2) as [one, two]:
        assert [one.take_now(item, "a") for _ in range(10)] == [0] * 10
        assert one.take_now(item, "a") > 0
        started = asyncio.get_running_loop().time()
        await until(lambda: two._windows.wait(item.key_for("a")) > 0)
        assert asyncio.get_running_loop().time() - started < 1
        assert two.take_now(item, "a") > 0
        assert two.take_now(item, "b") == 0


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_without_redis_each_process_counts_and_then_both_again(
    redis: Redis, item: RateLimitItem, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "parley.counts")
    async with processes(redis, item, 2) as [one, two]:
        assert await one.take(item, "a") == 0
        await asyncio.to_thread(redis.kill if how == "killed" else redis.pause)
        try:
            async with asyncio.timeout(module.TIMEOUT_SECONDS * 3):
                waits = [await one.take(item, "a") for _ in range(12)]
                await asyncio.gather(*(one.take(item, f"b{number}") for number in range(100)))
            assert [wait > 0 for wait in waits] == [False] * 9 + [True] * 3
            assert await two.take(item, "a") == 0  # it knows only of its own
        finally:
            await asyncio.to_thread(redis.start if how == "killed" else redis.resume)
        said = [record.getMessage() for record in caplog.records if record.name == "parley.counts"]
        assert len([text for text in said if "each process limits by itself" in text]) == 2

        async def together() -> bool:
            await one.forget(item, "c")
            await one.take(item, "c")
            await one.add(item, "c", amount=9)
            return await two.wait(item, "c") > 0

        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await together():  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.1)
        said = [record.getMessage() for record in caplog.records if record.name == "parley.counts"]
        assert sorted(said)[:2] == ["Redis counts again"] * 2
        assert len(said) == 4  # once for each outage of each
