"""Counts what is limited: in this process, and through Redis with the others.

What can wait is asked of Redis, which is exact. What cannot (a send keeps its place only if nothing
is awaited) is decided here, and the others are told of it a moment later: they know of each other's
within SHARE_SECONDS and a little. While Redis is away or hangs, each process counts for itself.
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
from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import RedisError

from events.bus.bus import Bus, Topic
from resolvers.guards.windows import Windows

logger = logging.getLogger("parley.counts")

SHARE_SECONDS = 0.1
# A login waits no longer than this for a Redis that hangs, and then nobody does for a while.
TIMEOUT_SECONDS = 0.5
RETRY_SECONDS = 1.0
MAX_AT_ONCE = 16

# A window is a list of the times of its hits, the latest first. This looks whether all have room,
# and if so counts the hits in each: a refusal leaves nothing behind. `look` counts nothing, and
# `add` counts what has happened already. ARGV: what to do, now, and for each window its rate (how
# many, in how many seconds) and how many hits are meant.
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
if act ~= 'look' then
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
    """What a limit counts of whom; the item's namespace names the limit."""

    item: RateLimitItem
    key: str
    amount: int = 1


class Full(NamedTuple):
    """The limit that has no room, and in how many seconds it will."""

    item: RateLimitItem
    wait: float


class Counts:
    """Counts hits in moving windows: those of each limit in a store of its own."""

    def __init__(self, bus: Bus, *, redis_url: str | None, prefix: str) -> None:
        self._bus = bus
        self._stores: dict[str, Windows] = {}
        self._pool: ConnectionPool | None = None
        if redis_url is not None:
            self._pool = ConnectionPool.from_url(
                redis_url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
            )
            self._script = Redis(connection_pool=self._pool).register_script(SCRIPT)
        self._prefix = prefix
        self._asking = asyncio.Semaphore(MAX_AT_ONCE)
        self._away = False
        self._away_until = 0.0
        self._untold: defaultdict[str, defaultdict[str, int]] = defaultdict(
            lambda: defaultdict(int)
        )
        self._telling: asyncio.TimerHandle | None = None
        self._told_of: dict[str, RateLimitItem] = {}
        bus.subscribe(Topic.COUNTS, self._hear)

    def __len__(self) -> int:
        return sum(map(len, self._stores.values()))

    def share(self, item: RateLimitItem) -> None:
        """Hear of the other processes' hits of this kind from now on."""
        self._told_of[item.namespace] = item

    def take_now(self, item: RateLimitItem, key: str) -> float:
        """Count a hit, without waiting, if there is room; return 0, or the seconds until there is.

        The other processes are told soon.
        """
        if wait := self._store(item).take(key):
            return wait
        if self._pool is not None:
            self._untold[item.namespace][key] += 1
            if self._telling is None:
                loop = asyncio.get_running_loop()
                self._telling = loop.call_later(SHARE_SECONDS, self._tell)
        return 0.0

    async def take(self, *hits: Hit) -> Full | None:
        """Count all the hits if there is room for each; else none of them, and say which."""
        full = await self._look("take", hits)
        if full is None:
            for hit in hits:
                self._store(hit.item).record(hit.key, hit.amount)
        return full

    async def look(self, *hits: Hit) -> Full | None:
        """Say which of the hits there is no room for, if any. Counts nothing."""
        return await self._look("look", hits)

    def known(self, *hits: Hit) -> Full | None:
        """Do as `look`, without waiting, by what this process knows."""
        for hit in hits:
            if wait := self._store(hit.item).wait(hit.key, hit.amount):
                return Full(hit.item, wait)
        return None

    async def add(self, hit: Hit, amount: int) -> None:
        """Count what has happened already, as far as there is room."""
        self._store(hit.item).record(hit.key, amount)
        with suppress(NoAnswer):
            await self._ask("add", [hit._replace(amount=amount)])

    async def close(self) -> None:
        """Tell nothing any more."""
        if self._telling is not None:
            self._telling.cancel()
        if self._pool is not None:
            await self._pool.disconnect()

    def _store(self, item: RateLimitItem) -> Windows:
        store = self._stores.get(item.namespace)
        if store is None:
            store = self._stores[item.namespace] = Windows(item.amount, item.get_expiry())
        return store

    async def _look(self, act: Literal["take", "look"], hits: Sequence[Hit]) -> Full | None:
        # What was let through here is a part of what Redis counts: no need to ask then.
        if full := self.known(*hits):
            return full
        try:
            return await self._ask(act, hits)
        except NoAnswer:
            return self.known(*hits)  # another call may have come first meanwhile

    async def _ask(self, act: Literal["take", "look", "add"], hits: Sequence[Hit]) -> Full | None:
        """Have Redis do it; raise NoAnswer when there is none."""
        if self._pool is None or monotonic() < self._away_until:
            raise NoAnswer
        if self._away:  # one goes and looks; the others do not wait for it
            self._away_until = monotonic() + RETRY_SECONDS
        now = time()
        keys = [f"{self._prefix}:counts:{hit.item.namespace}:{hit.key}" for hit in hits]
        meant = [n for h in hits for n in (h.item.amount, h.item.get_expiry(), h.amount)]
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self._asking:
                index, oldest = await self._script(keys, [act, repr(now), *meant])
        except (RedisError, OSError, TimeoutError) as error:
            if not self._away:
                logger.warning(
                    "Redis counts nothing (%s); each process limits by itself",
                    str(error) or type(error).__name__,
                )
            self._away = True
            self._away_until = monotonic() + RETRY_SECONDS
            raise NoAnswer from error
        if self._away:
            self._away, self._away_until = False, 0.0
            logger.info("Redis counts again")
        if index == 0:
            return None
        item = hits[index - 1].item
        # The machines' clocks may differ, or jump.
        wait = float(oldest) + item.get_expiry() - now
        return Full(item, min(max(wait, 0.001), item.get_expiry()))

    def _tell(self) -> None:
        self._telling = None
        untold = {name: dict(keys) for name, keys in self._untold.items()}
        self._untold.clear()
        self._bus.publish(Topic.COUNTS, _encoder.encode(untold))

    def _hear(self, payload: bytes) -> None:
        for name, keys in _decoder.decode(payload).items():
            item = self._told_of.get(name)
            if item is not None:
                store = self._store(item)
                for key, amount in keys.items():
                    store.record(key, amount)
