"""Counts of what is limited: in this process, and through Redis in all processes together.

A count that may wait is made by Redis, which is exact. One that may not (a send keeps its place
only if nothing is awaited) is made in this process, and the other processes hear of it
SHARE_SECONDS later. While Redis is away or hangs, each process counts for itself.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic, time
from typing import Literal, NamedTuple

import msgspec
from limits import RateLimitItem
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from events.bus.bus import Bus, Topic
from events.bus.redis_address import client_of, close_pool, redis_pool
from resolvers.guards.limits.windows import Windows

logger = logging.getLogger("parley.counts")

SHARE_SECONDS = 0.1
# A login waits no longer than this for a Redis that hangs; then nobody asks Redis for a while.
TIMEOUT_SECONDS = 0.5
RETRY_SECONDS = 1.0
MAX_AT_ONCE = 16

# A window is a list of the times of its hits, the latest first. `count` adds its hits only if all
# windows have room: a refusal leaves nothing behind. `check` adds nothing, and `add` looks for no
# room: its hits have happened. ARGV: the act, now, and for each window its rate (how many, in how
# many seconds) and the number of hits.
SCRIPT = """
local act, now = ARGV[1], tonumber(ARGV[2])
if act ~= 'add' then
    for index, key in ipairs(KEYS) do
        local limit, amount = tonumber(ARGV[3 * index]), tonumber(ARGV[3 * index + 2])
        local oldest = redis.call('lindex', key, limit - math.min(amount, limit))
        if oldest and tonumber(oldest) > now - tonumber(ARGV[3 * index + 1]) then
            return {index, oldest}
        end
    end
end
if act ~= 'check' then
    for index, key in ipairs(KEYS) do
        for _ = 1, tonumber(ARGV[3 * index + 2]) do
            redis.call('lpush', key, ARGV[2])
        end
        redis.call('ltrim', key, 0, tonumber(ARGV[3 * index]) - 1)
        redis.call('expire', key, ARGV[3 * index + 1])
    end
end
return {0, '0'}
"""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, dict[str, int]])


class NoAnswer(Exception):
    """There is no Redis, or it is away."""


class Hit(NamedTuple):
    """So many hits of a key, counted by a limit; the item's namespace names the limit."""

    item: RateLimitItem
    key: str
    amount: int = 1


class Full(NamedTuple):
    """A limit that has no room, and the seconds until it has."""

    item: RateLimitItem
    wait: float


class Counts:
    """Counts hits in moving windows: those of each limit in a store of its own."""

    def __init__(self, bus: Bus, *, redis_url: str | None, prefix: str) -> None:
        self._bus = bus
        self._stores: dict[str, Windows] = {}
        self._pool: ConnectionPool | None = None
        if redis_url is not None:
            # Twice: a connection that was not used for a while may have ended.
            self._pool = redis_pool(redis_url, seconds=TIMEOUT_SECONDS, tries=2)
            self._script = client_of(self._pool).register_script(SCRIPT)
        self._prefix = prefix
        self._asking = asyncio.Semaphore(MAX_AT_ONCE)
        self._away_until = 0.0  # when to ask Redis again; 0 while it answers
        self._unpublished: defaultdict[str, defaultdict[str, int]] = defaultdict(
            lambda: defaultdict(int)
        )
        self._publishing: asyncio.TimerHandle | None = None
        bus.subscribe(Topic.COUNTS, self._hear)

    def share(self, item: RateLimitItem) -> None:
        """Add the hits that other processes count at once to this process's counts of the limit."""
        self._store(item)

    def count_now(self, item: RateLimitItem, key: str) -> float:
        """Count a hit, without waiting, if there is room; return 0, or the seconds until there is.

        The other processes are told soon.
        """
        if wait := self._store(item).count(key):
            return wait
        if self._pool is not None:
            self._unpublished[item.namespace][key] += 1
            if self._publishing is None:
                loop = asyncio.get_running_loop()
                self._publishing = loop.call_later(SHARE_SECONDS, self._publish)
        return 0.0

    async def count(self, *hits: Hit) -> Full | None:
        """Count all the hits if each has room; else count none, and return a limit without room."""
        full = await self._look("count", hits)
        if full is None:
            for hit in hits:
                self._store(hit.item).add(hit.key, hit.amount)
        return full

    async def check(self, *hits: Hit) -> Full | None:
        """Return a limit that has no room for its hit, if there is one. Counts nothing."""
        return await self._look("check", hits)

    def check_here(self, *hits: Hit) -> Full | None:
        """Do as `check`, without waiting, by what this process knows."""
        for hit in hits:
            if wait := self._store(hit.item).wait(hit.key, hit.amount):
                return Full(hit.item, wait)
        return None

    async def add(self, hit: Hit, amount: int) -> None:
        """Count hits that have happened already, as far as there is room."""
        self._store(hit.item).add(hit.key, amount)
        with suppress(NoAnswer):
            await self._ask("add", [hit._replace(amount=amount)])

    async def close(self) -> None:
        """End the sharing, and the connections to Redis."""
        if self._publishing is not None:
            self._publishing.cancel()
        if self._pool is not None:
            await close_pool(self._pool)

    def _store(self, item: RateLimitItem) -> Windows:
        store = self._stores.get(item.namespace)
        if store is None:
            store = self._stores[item.namespace] = Windows(item.amount, item.get_expiry())
        return store

    async def _look(self, act: Literal["count", "check"], hits: Sequence[Hit]) -> Full | None:
        # Redis counts at least what this process does: without room here there is none there.
        if full := self.check_here(*hits):
            return full
        try:
            return await self._ask(act, hits)
        except NoAnswer:
            return self.check_here(*hits)  # another call may have been counted meanwhile

    async def _ask(self, act: Literal["count", "check", "add"], hits: Sequence[Hit]) -> Full | None:
        """Have Redis do the act. Raises NoAnswer."""
        if self._pool is None or monotonic() < self._away_until:
            raise NoAnswer
        if self._away_until:  # one caller tries again; the others do not wait for it
            self._away_until = monotonic() + RETRY_SECONDS
        now = time()
        keys = [f"{self._prefix}:counts:{hit.item.namespace}:{hit.key}" for hit in hits]
        meant = [n for h in hits for n in (h.item.amount, h.item.get_expiry(), h.amount)]
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self._asking:
                index, oldest = await self._script(keys, [act, repr(now), *meant])
        except (RedisError, OSError, TimeoutError) as error:
            if not self._away_until:
                logger.warning(
                    "Redis counts nothing (%s); each process limits by itself",
                    str(error) or type(error).__name__,
                )
            self._away_until = monotonic() + RETRY_SECONDS
            raise NoAnswer from error
        if self._away_until:
            self._away_until = 0.0
            logger.info("Redis counts again")
        if index == 0:
            return None
        item = hits[index - 1].item
        # The machines' clocks may differ, or jump.
        wait = float(oldest) + item.get_expiry() - now
        return Full(item, min(max(wait, 0.001), item.get_expiry()))

    def _publish(self) -> None:
        self._publishing = None
        unpublished = {name: dict(keys) for name, keys in self._unpublished.items()}
        self._unpublished.clear()
        self._bus.publish(Topic.COUNTS, _encoder.encode(unpublished))

    def _hear(self, payload: bytes) -> None:
        for name, keys in _decoder.decode(payload).items():
            if (store := self._stores.get(name)) is not None:
                for key, amount in keys.items():
                    store.add(key, amount)
