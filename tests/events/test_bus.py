"""What every bus promises; and over Redis: away, restarted or hanging, it harms nobody."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
from redis.asyncio import Redis as RedisClient

from events.bus import redis_bus
from events.bus.bus import Bus, Handler, LoneBus, Topic
from events.bus.redis_bus import RedisBus
from tests.faults.waits import until
from tests.support.inbox import Inbox
from tests.support.ports import free_port
from tests.support.redis import Redis, redis_server

NOTICED_SECONDS = 8.0
ORIGIN = b"somebody unknown"  # 16 bytes, as each process has its own
_prefixes = count(1)


class Listener(Inbox[tuple[Topic, bytes]]):
    """Keeps what a bus tells."""

    def __init__(self, bus: Bus) -> None:
        super().__init__()
        for topic in Topic:
            bus.subscribe(topic, self._keep(topic))

    def _keep(self, topic: Topic) -> Handler:
        return lambda payload: self.put((topic, payload))

    def said(self, topic: Topic = Topic.LOG) -> list[bytes]:
        """The payloads that came, in order."""
        return [payload for about, payload in self.items if about == topic]

    async def hears(self, payload: bytes, topic: Topic = Topic.LOG) -> None:
        """Wait for this payload."""
        await self.expect(lambda item: item == (topic, payload))


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A private Redis, which the tests leave running."""
    with redis_server() as server:
        yield server


async def until_connected(*buses: Bus, connected: bool = True) -> float:
    """Wait until all of them are, or are not; return how long it took."""
    began = time.monotonic()
    await until(lambda: all(bus.connected is connected for bus in buses), NOTICED_SECONDS)
    return time.monotonic() - began


@asynccontextmanager
async def _buses(url: str, number: int = 2, *, wait: bool = True) -> AsyncIterator[list[RedisBus]]:
    prefix = f"test{next(_prefixes)}"
    buses = [RedisBus(url, prefix=prefix) for _ in range(number)]
    for bus in buses:
        await bus.start()
    try:
        if wait:
            await until_connected(*buses)
        yield buses
    finally:
        await asyncio.gather(*(bus.close() for bus in buses))


async def _published(*buses: RedisBus) -> None:
    """Wait until nothing waits, and Redis has taken it."""
    await until(
        lambda: not any(bus._waiting or bus._flushing.locked() for bus in buses), NOTICED_SECONDS
    )


async def _say(server: Redis, channel: str, *data: bytes) -> None:
    """Publish these raw bytes, as a stranger."""
    async with RedisClient.from_url(server.url) as stranger:
        for words in data:
            await stranger.publish(channel, ORIGIN + words)


# What every bus promises.


@asynccontextmanager
async def _bus(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    if kind == "lone":
        bus = LoneBus()
        await bus.start()
        yield bus
        await bus.close()
    else:
        server: Redis = request.getfixturevalue("redis")
        async with _buses(server.url, 1) as [redis_bus_]:
            yield redis_bus_


@pytest.mark.parametrize("kind", ["lone", "redis"])
async def test_a_bus_never_tells_who_published(kind: str, request: pytest.FixtureRequest) -> None:
    async with _bus(kind, request) as bus:
        listener = Listener(bus)
        assert bus.connected
        for number in range(50):
            bus.publish(Topic.LOG, b"%d" % number)
        bus.publish(Topic.PRESENCE, b"")
        others: list[tuple[Topic, bytes]] = []
        if isinstance(bus, RedisBus):
            others.append((Topic.LOG, b"another's"))
            await _published(bus)
            await _say(request.getfixturevalue("redis"), f"{bus._prefix}:log", b"another's")
            await listener.hears(b"another's")
        assert listener.items == others


@pytest.mark.parametrize("kind", ["lone", "redis"])
async def test_publishing_before_the_start_or_after_the_end_harms_nobody(
    kind: str, request: pytest.FixtureRequest
) -> None:
    server: Redis = request.getfixturevalue("redis")
    bus: Bus = LoneBus() if kind == "lone" else RedisBus(server.url, prefix="early")
    bus.publish(Topic.LOG, b"early")
    await bus.start()
    await until_connected(bus)
    await bus.close()
    bus.publish(Topic.LOG, b"late")
    await bus.close()


# Over Redis.


async def test_the_others_hear_everything_in_each_publishers_order(redis: Redis) -> None:
    async with _buses(redis.url, 3) as buses:
        listeners = [Listener(bus) for bus in buses]
        for number in range(1000):
            for name, bus in enumerate(buses):
                bus.publish(Topic.LOG, b"%d:%d" % (name, number))
            if number % 100 == 0:
                await asyncio.sleep(0)
        for name, listener in enumerate(listeners):
            others = [other for other in range(3) if other != name]
            for other in others:
                await listener.hears(b"%d:999" % other)
            for other in others:
                mine = [p for p in listener.said() if p.startswith(b"%d:" % other)]
                assert mine == [b"%d:%d" % (other, number) for number in range(1000)]
            assert len(listener.items) == 2000


async def test_payloads_are_any_bytes_and_topics_and_prefixes_are_apart(redis: Redis) -> None:
    payloads = [b"", bytes(range(256)), b"\r\n$-1\r\n", b"\0" * 17, b"x" * 1_000_000, b"end"]
    async with _buses(redis.url) as [one, two], _buses(redis.url, 1) as [stranger]:
        listener, apart = Listener(two), Listener(stranger)
        for payload in payloads:
            one.publish(Topic.LOG, payload)
        one.publish(Topic.PRESENCE, b"presence")
        await listener.hears(b"presence", Topic.PRESENCE)
        assert listener.said() == payloads
        assert listener.said(Topic.PRESENCE) == [b"presence"]
        assert apart.items == []


async def test_garbage_on_the_channel_and_a_handler_that_fails_harm_nobody(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async with _buses(redis.url) as [one, two]:

        def fail(payload: bytes) -> None:
            raise ZeroDivisionError(payload)

        two.subscribe(Topic.LOG, fail)
        listener = Listener(two)
        async with RedisClient.from_url(redis.url) as vandal:
            for garbage in (b"", b"short", b"\xff" * 16, "ünïcode".encode() * 1000):
                await vandal.publish(f"{two._prefix}:log", garbage)
        one.publish(Topic.LOG, b"after it")
        await listener.hears(b"after it")
        assert two.connected
    assert "could not be handled" in caplog.text


async def test_redis_away_at_the_start_is_found_when_it_comes(redis: Redis) -> None:
    redis.stop()
    try:
        async with _buses(redis.url, wait=False) as [one, two]:
            listener = Listener(two)
            one.publish(Topic.LOG, b"too early")
            await asyncio.sleep(0.2)
            assert not one.connected
            assert not two.connected
            await asyncio.to_thread(redis.start)
            await until_connected(one, two)
            one.publish(Topic.LOG, b"now")
            await listener.hears(b"now")
    finally:
        if redis._process is None:
            redis.start()


async def test_redis_killed_and_restarted_is_noticed_and_found_again(redis: Redis) -> None:
    async with _buses(redis.url) as [one, two]:
        listener = Listener(two)
        for life in range(3):
            await asyncio.to_thread(redis.kill)
            one.publish(Topic.LOG, b"nobody hears")
            assert await until_connected(one, two, connected=False) < 3
            await asyncio.to_thread(redis.start)
            assert await until_connected(one, two) < 5
            one.publish(Topic.LOG, b"life %d" % life)
            await listener.hears(b"life %d" % life)


async def test_redis_that_hangs_is_noticed_fills_nothing_and_is_found_again(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert redis_bus.MAX_WAITING <= 10_000
    async with _buses(redis.url) as [one, two]:
        listener = Listener(two)
        redis.pause()
        try:
            began = time.monotonic()
            for number in range(3 * redis_bus.MAX_WAITING):
                one.publish(Topic.LOG, b"%d" % number)
            assert time.monotonic() - began < 1
            assert len(one._waiting) == redis_bus.MAX_WAITING
            # The loop goes on meanwhile.
            naps = 0
            noticing = asyncio.create_task(until_connected(one, two, connected=False))
            while not noticing.done():
                await asyncio.sleep(0.01)
                naps += 1
            assert await noticing < 6
            assert naps > 100
            assert len(one._waiting) <= redis_bus.MAX_WAITING
        finally:
            redis.resume()
        await until_connected(one, two)
        one.publish(Topic.LOG, b"again")
        await listener.hears(b"again")
        # What waited came in order, if at all.
        numbers = [int(p) for p in listener.said() if p.isdigit()]
        assert numbers == sorted(numbers)


async def test_what_waits_is_bounded_in_bytes_too(redis: Redis) -> None:
    bus = RedisBus(redis.url, prefix="bytes")
    for number in range(100):
        bus.publish(Topic.LOG, b"%d" % (number % 10) * 1_000_000)
    assert bus._waiting_bytes == sum(len(data) - len(ORIGIN) for _, data in bus._waiting)
    assert bus._waiting_bytes <= redis_bus.MAX_WAITING_BYTES
    assert [data[16:17] for _, data in bus._waiting] == [b"%d" % number for number in range(2, 10)]
    await bus.close()


async def test_closing_is_quick_though_redis_hangs(redis: Redis) -> None:
    async with _buses(redis.url) as [one, two]:
        redis.pause()
        try:
            assert one.connected  # not noticed yet
            one.publish(Topic.LOG, b"last words")
            began = time.monotonic()
            await asyncio.gather(one.close(), two.close())
            assert time.monotonic() - began < 1.5
        finally:
            redis.resume()


async def test_closing_is_quick_where_nobody_ever_answered() -> None:
    async with _buses(f"redis://127.0.0.1:{free_port()}/0", wait=False) as [one, two]:
        one.publish(Topic.LOG, b"x")
        began = time.monotonic()
        await asyncio.gather(one.close(), two.close())
        assert time.monotonic() - began < 1


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
async def test_last_words_are_said_in_order_before_the_end(redis: Redis, turns: int) -> None:
    async with _buses(redis.url) as [one, two]:
        listener = Listener(two)
        for number in range(5):
            one.publish(Topic.LOG, b"%d" % number)
        for _ in range(turns):  # the sender is somewhere on its way
            await asyncio.sleep(0)
        one.publish(Topic.LOG, b"last words")
        await one.close()
        await listener.hears(b"last words")
        assert listener.said() == [b"0", b"1", b"2", b"3", b"4", b"last words"]


async def test_closing_leaves_no_task_and_no_connection(redis: Redis) -> None:
    async def clients() -> int:
        listed = await asyncio.to_thread(redis.execute, "CLIENT LIST")
        return sum("cmd=publish" in line or "sub=2" in line for line in listed.splitlines())

    async with _buses(redis.url, 3) as buses:
        for bus in buses:
            bus.publish(Topic.LOG, b"x")
        await _published(*buses)
        assert await clients() >= 3
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("bus-")]
    async with asyncio.timeout(5):
        while await clients():  # noqa: ASYNC110  # Redis tells nobody
            await asyncio.sleep(0.01)
