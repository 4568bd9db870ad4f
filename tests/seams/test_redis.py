"""redis-py, on a Redis: silence, scripts, errors, and what is not tried again."""

import asyncio

import pytest
from redis.asyncio import ConnectionPool
from redis.asyncio import Redis as Client
from redis.exceptions import RedisError, ResponseError

from resolvers.guards.limits.counts import SCRIPT
from tests.support.ports import free_port
from tests.support.redis import Redis, redis_server


@pytest.fixture(scope="module")
def redis():  # type: ignore[no-untyped-def]  # what the server's fixture yields
    """A Redis of these tests."""
    with redis_server() as server:
        yield server


async def test_silence_is_none_and_a_ping_is_answered_on_the_same_connection(redis: Redis) -> None:
    client: Client = Client.from_url(redis.url, socket_timeout=2, retry=None)
    async with client.pubsub(ignore_subscribe_messages=False) as pubsub:
        await pubsub.subscribe("seam")
        first = await pubsub.get_message(timeout=2)
        assert first is not None
        assert first["type"] == "subscribe"
        assert await pubsub.get_message(timeout=0.05) is None
        await pubsub.ping()
        assert (await pubsub.get_message(timeout=2) or {})["type"] == "pong"
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.publish("seam", b"\xff\0")
            await pipeline.execute()
        heard = await pubsub.get_message(timeout=2)
        assert heard is not None
        assert (heard["type"], heard["channel"], heard["data"]) == ("message", b"seam", b"\xff\0")
    await client.aclose()


async def test_a_script_takes_keys_and_arguments(redis: Redis) -> None:
    pool = ConnectionPool.from_url(redis.url, socket_timeout=2, socket_connect_timeout=2)
    script = Client(connection_pool=pool).register_script(SCRIPT)
    for expected in ([0, b"0"], [1, b"5.0"]):
        assert await script(["seam:key"], ["count", "5.0", 1, 60, 1]) == expected
    await pool.disconnect()


async def test_what_redis_refuses_is_an_error_of_its_own(redis: Redis) -> None:
    assert issubclass(ResponseError, RedisError)
    client: Client = Client.from_url(redis.url, socket_timeout=2, retry=None)
    with pytest.raises(ResponseError):
        await client.eval("return redis.call('nothing')", 0)
    await client.aclose()


async def test_a_redis_that_is_away_is_an_error_at_once() -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    client: Client = Client.from_url(url, socket_connect_timeout=2, retry=None)
    with pytest.raises((RedisError, OSError)):
        async with asyncio.timeout(1):
            await client.ping()
    await client.aclose()
