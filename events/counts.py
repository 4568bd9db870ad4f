"""Counts what is limited: in this process, and through Redis with the others.

What can wait is asked of Redis, which is exact. What cannot (a send keeps its place only if nothing
is awaited) is decided here, and the others are told of it a moment later: they know of each other's
within SHARE_SECONDS and a little. While Redis is away or hangs, each process counts for itself.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from time import monotonic, time

import msgspec
from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from events.bus import Bus, Topic
from events.windows import Windows

logger = logging.getLogger("parley.counts")

SHARE_SECONDS = 0.1
# A login waits no longer than this for a Redis that hangs, and then nobody does for a while.
TIMEOUT_SECONDS = 0.5
RETRY_SECONDS = 1.0
MAX_AT_ONCE = 16

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, dict[str, int]])


class Counts:
    """Counts hits of keys in moving windows; each item's namespace names what it is of."""

    def __init__(self, bus: Bus, *, redis_url: str | None, prefix: str) -> None:
        self._bus = bus
        self._windows = Windows()
        self._pool: ConnectionPool | None = None
        if redis_url is not None:
            self._pool = ConnectionPool.from_url(
                redis_url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
            )
            storage = RedisStorage(
                "async+redis://",
                implementation="redispy",
                key_prefix=f"{prefix}:counts",
                connection_pool=self._pool,  # type: ignore[arg-type]  # documented, and not typed
            )
            self._shared = MovingWindowRateLimiter(storage)
        self._asking = asyncio.Semaphore(MAX_AT_ONCE)
        self._away = False
        self._away_until = 0.0
        self._untold: defaultdict[str, defaultdict[str, int]] = defaultdict(
            lambda: defaultdict(int)
        )
        self._telling: asyncio.TimerHandle | None = None
        self._items: dict[str, RateLimitItem] = {}
        bus.subscribe(Topic.COUNTS, self._hear)

    def take_now(self, item: RateLimitItem, key: str) -> float:
        """Count a hit, without waiting, if there is room; return 0, or the seconds until there is.

        The other processes are told soon.
        """
        full = item.key_for(key)
        if not self._windows.acquire_entry(full, item.amount, item.get_expiry()):
            return self._windows.wait(full)
        if self._pool is not None:
            self._items[item.namespace] = item
            self._untold[item.namespace][key] += 1
            if self._telling is None:
                loop = asyncio.get_running_loop()
                self._telling = loop.call_later(SHARE_SECONDS, self._tell)
        return 0.0

    async def take(self, item: RateLimitItem, *keys: str, amount: int = 1) -> float:
        """Count so many hits if there is room for all; return 0, or the seconds until there is."""
        full = item.key_for(*keys)
        # What was let through here is a part of what Redis counts: no need to ask then.
        if wait := self._windows.wait(full, amount):
            return wait
        asked = await self._ask(lambda: self._take_shared(item, keys, amount))
        if asked:
            return asked
        if asked is None and (wait := self._windows.wait(full, amount)):
            return wait
        self._windows.record(full, item.amount, item.get_expiry(), amount)
        return 0.0

    async def add(self, item: RateLimitItem, *keys: str, amount: int) -> None:
        """Count what has happened already, as far as there is room."""
        self._windows.record(item.key_for(*keys), item.amount, item.get_expiry(), amount)
        await self._ask(lambda: self._add_shared(item, keys, amount))

    async def wait(self, item: RateLimitItem, *keys: str) -> float:
        """How many seconds until there is room for a hit; 0 for now. Counts nothing."""
        if wait := self._windows.wait(item.key_for(*keys)):
            return wait
        return await self._ask(lambda: self._wait_shared(item, keys)) or 0.0

    async def forget(self, item: RateLimitItem, *keys: str) -> None:
        """Forget a key's hits."""
        self._windows.clear(item.key_for(*keys))
        await self._ask(lambda: self._forget_shared(item, keys))

    async def close(self) -> None:
        """Tell nothing any more."""
        if self._telling is not None:
            self._telling.cancel()
        if self._pool is not None:
            await self._pool.disconnect()

    async def _take_shared(self, item: RateLimitItem, keys: tuple[str, ...], amount: int) -> float:
        if await self._shared.hit(item, *keys, cost=amount):
            return 0.0
        return await self._wait_shared(item, keys) or RETRY_SECONDS

    async def _wait_shared(self, item: RateLimitItem, keys: tuple[str, ...]) -> float:
        reset, remaining = await self._shared.get_window_stats(item, *keys)
        # The machines' clocks may differ, or jump.
        return 0.0 if remaining > 0 else min(max(reset - time(), 0.001), item.get_expiry())

    async def _add_shared(self, item: RateLimitItem, keys: tuple[str, ...], amount: int) -> float:
        if not await self._shared.hit(item, *keys, cost=amount):
            _, remaining = await self._shared.get_window_stats(item, *keys)
            if remaining > 0:
                await self._shared.hit(item, *keys, cost=min(remaining, amount))
        return 0.0

    async def _forget_shared(self, item: RateLimitItem, keys: tuple[str, ...]) -> float:
        await self._shared.clear(item, *keys)
        return 0.0

    async def _ask(self, question: Callable[[], Awaitable[float]]) -> float | None:
        """Return Redis's answer; None without one."""
        if self._pool is None or monotonic() < self._away_until:
            return None
        if self._away:  # one goes and looks; the others do not wait for it
            self._away_until = monotonic() + RETRY_SECONDS
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self._asking:
                answer = await question()
        except (RedisError, OSError, TimeoutError) as error:
            if not self._away:
                logger.warning(
                    "Redis counts nothing (%s); each process limits by itself",
                    str(error) or type(error).__name__,
                )
            self._away = True
            self._away_until = monotonic() + RETRY_SECONDS
            return None
        if self._away:
            self._away, self._away_until = False, 0.0
            logger.info("Redis counts again")
        return answer

    def _tell(self) -> None:
        self._telling = None
        untold = {name: dict(keys) for name, keys in self._untold.items()}
        self._untold.clear()
        self._bus.publish(Topic.COUNTS, _encoder.encode(untold))

    def _hear(self, payload: bytes) -> None:
        for name, keys in _decoder.decode(payload).items():
            item = self._items.get(name)
            if item is not None:
                for key, amount in keys.items():
                    full = item.key_for(key)
                    self._windows.record(full, item.amount, item.get_expiry(), amount)

    def share(self, item: RateLimitItem) -> None:
        """Hear of the other processes' hits of this kind from now on."""
        self._items[item.namespace] = item
