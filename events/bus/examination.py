"""What a Redis is and lets us do, for `main.py check`."""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from events.bus.redis_address import client_of, close_pool, redis_pool

# As the bus and the counts wait, who find a slower Redis away.
TIMEOUT_SECONDS = 2.0
PROBE_SECONDS = 10
DENIED = ("NOPERM", "NOAUTH", "unknown command")


class RedisAway(Exception):
    """Redis cannot be reached or used; the text says why."""


@dataclass(frozen=True, slots=True)
class RedisState:
    """What a Redis says of itself; what it does not tell, or refuses to, is missing."""

    version: str
    role: str
    config: dict[str, str]
    used_bytes: int
    missing: tuple[str, ...]  # what our user may not do


async def examine_redis(url: str, *, prefix: str) -> RedisState:
    """Return what the Redis is. Raises RedisAway."""
    pool = redis_pool(url, seconds=TIMEOUT_SECONDS, decode_responses=True)
    redis = client_of(pool)
    try:
        await redis.ping()
        info = await _info(redis)
        missing = [
            *await _try_counting(redis, f"{prefix}:check:{secrets.token_hex(8)}"),
            *await _try_publishing(redis, f"{prefix}:check"),
        ]
        return RedisState(
            version=str(info.get("redis_version", "")),
            role=str(info.get("role", "")),
            config=await _config(redis),
            used_bytes=int(info.get("used_memory", 0)),
            missing=tuple(missing),
        )
    except (RedisError, OSError, TimeoutError, ValueError) as error:
        raise RedisAway(str(error) or type(error).__name__) from error
    finally:
        with suppress(RedisError, OSError):
            await close_pool(pool)


async def _info(redis: Redis) -> dict[str, Any]:
    try:
        return await redis.info()
    except RedisError as error:
        if _is_denied(error):
            return {}
        raise


async def _config(redis: Redis) -> dict[str, str]:
    """Return what matters to us; hosted ones often tell nothing."""
    try:
        return {
            _text(name): _text(value)
            for name, value in (await redis.config_get("maxmemory*")).items()
        }
    except RedisError as error:
        if _is_denied(error):
            return {}
        raise


async def _try_counting(redis: Redis, key: str) -> list[str]:
    """Count as the limits do: with a script, in a list that expires."""
    script = (
        "redis.call('lpush', KEYS[1], ARGV[1]) redis.call('ltrim', KEYS[1], 0, 1)"
        " redis.call('expire', KEYS[1], ARGV[2]) return redis.call('lindex', KEYS[1], 0)"
    )
    try:
        await redis.eval(script, 1, key, "1", str(PROBE_SECONDS))
    except RedisError as error:
        if _is_denied(error):
            return [f"run scripts on keys {key.partition(':')[0]}:*"]
        raise
    return []


async def _try_publishing(redis: Redis, channel: str) -> list[str]:
    """Publish something, and hear it."""
    try:
        async with redis.pubsub() as pubsub, asyncio.timeout(TIMEOUT_SECONDS * 2):
            await pubsub.subscribe(channel)
            await pubsub.get_message(timeout=TIMEOUT_SECONDS)
            said = secrets.token_hex(8)
            await redis.publish(channel, said)
            while True:
                heard = await pubsub.get_message(
                    ignore_subscribe_messages=True, timeout=TIMEOUT_SECONDS
                )
                if heard is not None and _text(heard["data"]) == said:
                    return []
    except RedisError as error:
        if _is_denied(error):
            return [f"publish and subscribe on channels {channel.partition(':')[0]}:*"]
        raise
    except TimeoutError as error:
        raise RedisAway("what is published is not heard") from error


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _is_denied(error: RedisError) -> bool:
    return any(word in str(error) for word in DENIED) or type(error).__name__ == "NoPermissionError"
