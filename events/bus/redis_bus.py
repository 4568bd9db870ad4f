"""The bus over Redis publish/subscribe: at most once, and only to who is there."""

import asyncio
import logging
from collections import deque
from uuid import uuid4

from redis.exceptions import RedisError, ResponseError

from events.bus.bus import Handler, Subscribers, Topic
from events.bus.redis_address import client_of, close_pool, redis_pool

logger = logging.getLogger("parley.bus")

# Publications that wait while Redis is slow; beyond, the oldest are dropped: the log has them.
MAX_WAITING = 10_000
MAX_WAITING_BYTES = 8 * 1024 * 1024
# One round trip carries as many as wait, to this many.
MAX_PIPELINE = 200
# Redis that has not answered for so long counts as gone (also one that is stopped, not closed).
TIMEOUT_SECONDS = 2.0
RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0)
# A Redis that hangs must not keep the server from ending.
CLOSE_SECONDS = 1.0
ORIGIN_BYTES = 16


class RedisBus:
    """Publishes and listens on `<prefix>:<topic>`; connects again by itself, for ever."""

    is_lone = False

    def __init__(self, url: str, *, prefix: str) -> None:
        self._pool = redis_pool(url, seconds=TIMEOUT_SECONDS)
        self._redis = client_of(self._pool)
        self._prefix = prefix
        # Begins each publication, so that a process knows its own when Redis sends it back.
        self._origin = uuid4().bytes
        self._subscribers = Subscribers()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._waiting_bytes = 0
        # One flush at a time keeps the order.
        self._flushing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._listening = False
        self._publishing = True
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        """Whether Redis answered when it was last asked."""
        return self._listening and self._publishing

    @property
    def waiting(self) -> int:
        """How many publications wait to be sent."""
        return len(self._waiting)

    def subscribe(self, topic: Topic, handler: Handler) -> None:
        """Call the handler, on the loop, with each publication of the other processes."""
        self._subscribers.add(topic, handler)

    def publish(self, topic: Topic, payload: bytes) -> None:
        """Send to the other processes soon; dropped when Redis is away."""
        self._waiting.append((self._channel(topic), self._origin + payload))
        self._waiting_bytes += len(payload)
        while len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES:
            self._pop()
        self._wake.set()

    async def start(self) -> None:
        """Connect, in the background when Redis is away."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="bus-listener"),
            asyncio.create_task(self._send(), name="bus-sender"),
        ]

    async def close(self) -> None:
        """End, after a last try to send what waits."""
        if self.connected:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._flush()
            except (RedisError, OSError, TimeoutError):
                logger.info("Redis did not take the last publications")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await close_pool(self._pool)

    def _channel(self, topic: str) -> str:
        return f"{self._prefix}:{topic}"

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=False) as pubsub:
                    await pubsub.subscribe(*(self._channel(topic) for topic in Topic))
                    await self._receive(pubsub)
            except (RedisError, OSError, TimeoutError) as error:
                if self._listening:
                    failures = 0
                if failures == 0:
                    logger.warning("Redis is away (%s); the log is polled instead", error)
                self._listening = False
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
            failures += 1

    async def _receive(self, pubsub) -> None:  # type: ignore[no-untyped-def]  # redis-py's is not exported
        silent = False
        while True:
            message = await pubsub.get_message(timeout=TIMEOUT_SECONDS)
            if message is None:
                # Nothing said in a while: is anybody there? Two silences in a row mean no.
                if silent:
                    raise TimeoutError("no answer to a ping")
                silent = True
                await pubsub.ping()
                continue
            silent = False
            if not self._listening:
                self._listening = True
                logger.info("Connected to Redis")
            if message["type"] == "message":
                self._handle(message["channel"].decode(), message["data"])

    def _handle(self, channel: str, data: bytes) -> None:
        if data[:ORIGIN_BYTES] != self._origin:
            self._subscribers.call(channel.rpartition(":")[2], data[ORIGIN_BYTES:])

    async def _send(self) -> None:
        failures = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._flush()
                self._publishing = True
                failures = 0
            except (RedisError, OSError, TimeoutError) as error:
                # The first failure may tell of no more than a connection that Redis had closed.
                if failures == 1:
                    logger.warning("Redis takes no publications (%s)", error)
                self._publishing = False
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
                self._wake.set()

    async def _flush(self) -> None:
        async with self._flushing:
            while self._waiting:
                batch = [self._pop() for _ in range(min(len(self._waiting), MAX_PIPELINE))]
                try:
                    async with self._redis.pipeline(transaction=False) as pipeline:
                        for channel, publication in batch:
                            pipeline.publish(channel, publication)
                        await pipeline.execute()
                except ResponseError:
                    raise  # it would be refused again
                except (RedisError, OSError, TimeoutError):
                    self._put_back(batch)
                    raise

    def _pop(self) -> tuple[str, bytes]:
        channel, publication = self._waiting.popleft()
        self._waiting_bytes -= len(publication) - ORIGIN_BYTES
        return channel, publication

    def _put_back(self, batch: list[tuple[str, bytes]]) -> None:
        """Let a batch wait again, but for what there is no room for."""
        for channel, publication in reversed(batch):
            size = len(publication) - ORIGIN_BYTES
            full = len(self._waiting) >= MAX_WAITING
            if full or self._waiting_bytes + size > MAX_WAITING_BYTES:
                return
            self._waiting.appendleft((channel, publication))
            self._waiting_bytes += size
