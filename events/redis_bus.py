"""The bus over Redis publish/subscribe: at most once, and only to who is there."""

import asyncio
import logging
from collections import deque
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from events.bus import Handler, Subscribers, Topic

logger = logging.getLogger("parley.bus")

# Publications that wait while Redis is slow; beyond, the oldest are dropped: the log has them.
MAX_WAITING = 10_000
# One round trip carries as many as wait, to this many.
MAX_PIPELINE = 200
# Redis that has not answered for so long counts as gone (also one that is stopped, not closed).
TIMEOUT_SECONDS = 2.0
RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0)
ORIGIN_BYTES = 16


class RedisBus:
    """Publishes and listens on `<prefix>:<topic>`; connects again by itself, for ever."""

    def __init__(self, url: str, *, prefix: str) -> None:
        self._redis: Redis = Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=None,
        )
        self._prefix = prefix
        # Begins each publication, so that a process knows its own when Redis sends it back.
        self._origin = uuid4().bytes
        self._subscribers = Subscribers()
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=MAX_WAITING)
        self._wake = asyncio.Event()
        self._listening = False
        self._publishing = True
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        """Whether Redis answered when it was last asked."""
        return self._listening and self._publishing

    def subscribe(self, topic: Topic, handler: Handler) -> None:
        """Call the handler, on the loop, with each publication of the other processes."""
        self._subscribers.add(topic, handler)

    def publish(self, topic: Topic, payload: bytes) -> None:
        """Send to the other processes soon; dropped when Redis is away."""
        self._waiting.append((self._channel(topic), self._origin + payload))
        self._wake.set()

    async def start(self) -> None:
        """Connect, in the background when Redis is away."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="bus-listener"),
            asyncio.create_task(self._send(), name="bus-sender"),
        ]

    async def close(self) -> None:
        """End, after a last try to send what waits."""
        if self._waiting and self.connected:
            try:
                await self._flush()
            except (RedisError, OSError, TimeoutError):
                logger.info("Redis did not take the last publications")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

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
                if self._listening or failures == 0:
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
        if data[:ORIGIN_BYTES] == self._origin:
            return
        try:
            self._subscribers.call(channel.rpartition(":")[2], data[ORIGIN_BYTES:])
        except Exception:
            logger.exception("A publication on %s could not be handled", channel)

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._flush()
                self._publishing = True
            except (RedisError, OSError, TimeoutError) as error:
                if self._publishing:
                    logger.warning("Redis takes no publications (%s)", error)
                self._publishing = False
                await asyncio.sleep(RETRY_SECONDS[-1])
                self._wake.set()

    async def _flush(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_PIPELINE))]
            async with self._redis.pipeline(transaction=False) as pipeline:
                for channel, payload in batch:
                    pipeline.publish(channel, payload)
                await pipeline.execute()
