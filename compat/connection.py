"""One Engine.IO client, its bounded queue, and how it ends.

`Connection` takes the place of `engineio.AsyncSocket`. That one queues without bound, may lose a
packet when a poll is cancelled, logs a traceback for each bad packet and goes on, and leaves
waiting GETs, writers and silent clients behind: every method of it would have to be overridden.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Protocol

from starlette.types import Receive, Send

from compat.endings import (
    BAD_PACKET,
    CLIENT_CLOSED,
    PING_TIMEOUT,
    SLOW_READER,
    TOO_LARGE,
    TRANSPORT_CLOSED,
    Ending,
)
from compat.outbox import Outbox
from compat.packets import (
    CLOSE,
    MESSAGE,
    NOOP,
    PING,
    PONG,
    PROBE,
    PROBED,
    UPGRADE,
    BadPacket,
    EncodedEvent,
    Frame,
    decode_payload,
)
from compat.transports import Direct, next_frame, read_body

logger = logging.getLogger(__name__)

CLOSE_GRACE = 2.0  # for a close frame, and what is before it, to leave; then the transport is cut
LINGER = 5.0  # for a polling client to come back and be told that it was closed
UPGRADE_TIMEOUT = 10.0  # as the Node server
FRAMES_A_TURN = 100  # of one POST, before other clients get a turn
POLLED_AT_ONCE = 16  # python-engineio's client gives up on an answer of more packets


class Server(Protocol):
    """What a connection asks of its server."""

    ping_interval: float
    ping_timeout: float
    max_payload: int
    queue_messages: int
    queue_bytes: int
    send_timeout: float

    async def on_message(self, connection: "Connection", data: Frame) -> None: ...

    def take_now(self, connection: "Connection", data: str) -> bool: ...

    def on_end(self, connection: "Connection", ending: Ending) -> None: ...


class Connection:
    """One client: what waits to be sent to it, and the polling or websocket that carries it."""

    def __init__(self, server: Server, sid: str) -> None:
        self.server = server
        self.sid = sid
        self.ending: Ending | None = None
        # What engineio.AsyncServer's own methods read and write.
        self.session: dict[str, object] = {}
        self.upgraded = False
        self.closed = False

        self._outbox = Outbox(server.queue_messages, server.queue_bytes)
        self._wake = asyncio.Event()  # something to send, or to answer a waiting GET for
        self._ended = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._direct: Direct | None = None
        self._idle = False  # the websocket's writer waits, and nothing is queued for it
        self._taking = False
        self._resting = False  # the websocket's reader waits, and has taken all that came
        self._polling = False
        self._posting = False
        self._probe: asyncio.Timeout | None = None
        self._upgrading = False
        self._pong_due = False
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(server.ping_interval, self._ping)

    @cached_property
    def over(self) -> asyncio.Event:
        """Set once the client was told of the end, or is beyond telling."""
        return asyncio.Event()

    def push(self, encoded: EncodedEvent) -> bool:
        """Queue without waiting; a full queue ends the connection. False: it will not be sent."""
        if self.ending is not None:
            return False
        direct = self._direct
        if self._idle and encoded.texts and direct is not None and direct.writable():
            # Nothing waits before it, and the peer reads: no need of the queue and its task.
            for text in encoded.texts:
                direct.write(text)
            return True
        if not self._outbox.put(encoded):
            self.end(SLOW_READER)
            return False
        self._idle = False
        self._wake.set()
        return True

    def end(self, ending: Ending) -> None:
        """End the connection, once; returns at once, the transport follows in bounded time."""
        if self.ending is not None:
            return
        logger.debug("closing %s: %s", self.sid, ending.reason)
        self.ending = ending
        if ending.told:
            self.over.set()
        if not ending.flush:
            self.empty()
        self._timer.cancel()
        self._ended.set()
        self._wake.set()
        if self._probe is not None and not self._probe.expired():
            # A client that has its answer to the probe polls no more: what is still for it can
            # only go over the websocket, once it has said UPGRADE.
            wait = LINGER if self._upgrading and ending.flush else 0
            self._probe.reschedule(self._loop.time() + wait)
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()
        self.server.on_end(self, ending)

    def empty(self) -> None:
        """Forget what is queued; whoever waits for room in it goes on."""
        while self._outbox.take():
            pass

    # Liveness: one timer, for the next ping or for its pong.

    def _ping(self) -> None:
        self._pong_due = True
        self._timer = self._loop.call_later(self.server.ping_timeout, self._overdue)
        self.push(_PING)

    def _overdue(self) -> None:
        if self._taking:  # the pong may wait behind an event that we make wait
            self._timer = self._loop.call_later(self.server.ping_timeout, self._overdue)
        else:
            self.end(PING_TIMEOUT)

    def _pong(self) -> None:
        if self._pong_due:
            self._pong_due = False
            self._timer.cancel()
            self._timer = self._loop.call_later(self.server.ping_interval, self._ping)

    # From the client, over either transport.

    async def half_read(self) -> None:
        """Wait until the client has read half of what waits for it."""
        await self._outbox.room.wait()

    async def room(self) -> None:
        """Wait, from within its own packets, until the client has read half of what waits for it.

        Without this, who sends many events at once would overflow its queue by their answers.
        """
        self._taking = False  # a client that does not read answers no ping either
        await self._outbox.room.wait()
        self._taking = True

    async def _take(self, frame: Frame) -> None:
        """Act on one packet of the client; a bad one ends the connection."""
        self._taking = True
        try:
            if isinstance(frame, bytes):
                await self.server.on_message(self, frame)
            elif frame.startswith(MESSAGE):
                await self.server.on_message(self, frame[1:])
            elif frame == PONG:
                self._pong()
            elif frame == CLOSE:
                self.end(CLIENT_CLOSED)
            else:
                raise BadPacket("unknown or unexpected Engine.IO packet")
        except BadPacket as error:
            logger.debug("bad packet from %s: %s", self.sid, error)
            self.end(BAD_PACKET)
        finally:
            self._taking = False

    async def _take_all(self, frames: Iterable[Frame]) -> None:
        for number, frame in enumerate(frames):
            if self.ending is not None:
                return
            if number % FRAMES_A_TURN == FRAMES_A_TURN - 1:
                await asyncio.sleep(0)
            await self._take(frame)

    # Polling.

    async def poll(self, receive: Receive) -> list[Frame]:
        """The next packets for a polling client, as soon as there are some."""
        if self._polling:
            self.end(BAD_PACKET)
            raise BadPacket("two GETs at once")
        self._polling = True
        # A GET whose client went away would take packets with it: end the connection instead,
        # so that the client resumes. Packets are taken only after the last await of this method.
        watch = asyncio.create_task(self._watch(receive))
        try:
            await self._wake.wait()
        finally:
            watch.cancel()
            self._polling = False
        return self.take_payload()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end(TRANSPORT_CLOSED)

    def take_payload(self) -> list[Frame]:
        """What is queued, as much as one polling answer may carry; after the last, CLOSE.

        CLOSE comes alone: python-socketio's client closes before it handles what came with it.
        """
        if self.upgraded:
            return [NOOP]  # the websocket's writer owns the queue now
        frames: list[Frame] = []
        size = 0
        while size < self.server.max_payload and len(frames) < POLLED_AT_ONCE:
            if (encoded := self._outbox.take()) is None:
                break
            frames += encoded.frames
            size += encoded.size
        if not frames and self.ending is not None:
            self.over.set()
            return [CLOSE]
        if not self._outbox and self.ending is None and not self._upgrading:
            self._wake.clear()
        return frames or [NOOP]

    async def post(self, receive: Receive) -> int:
        """Take the packets of a polling client's POST in order; returns the HTTP status."""
        if self._posting:
            self.end(BAD_PACKET)
            return 400
        self._posting = True
        try:
            # A body that trickles in holds the events behind it: no longer than a lost pong may.
            async with asyncio.timeout(self.server.ping_timeout):
                body = await read_body(receive, self.server.max_payload)
            if body is None:
                self.end(TOO_LARGE)
                return 413
            # A task, so that the end of the connection can stop it while an event waits its turn.
            self._reader = asyncio.create_task(self._take_all(decode_payload(body)))
            await asyncio.gather(self._reader, return_exceptions=True)
            if not self._reader.cancelled():
                self._reader.result()
        except (BadPacket, TimeoutError) as error:
            logger.debug("bad POST from %s: %s", self.sid, error)
            self.end(BAD_PACKET)
        finally:
            self._posting = False
            self._reader = None
        # Not 400 when the server ends it: the client would drop its GET, and what is flushed there.
        return 400 if self.ending is BAD_PACKET else 200

    # Websocket.

    async def upgrade(self, receive: Receive, send: Send) -> bool:
        """Try to move from polling to this websocket; if that fails, polling goes on.

        The client sends UPGRADE only after its waiting GET was answered and no POST is under way,
        so what polling took is read before, and what the websocket takes is sent after.
        """
        if self._probe is not None or self.upgraded or self._ended.is_set():
            return False
        try:
            async with asyncio.timeout(UPGRADE_TIMEOUT) as self._probe:
                if await next_frame(receive) == PROBE:
                    await send({"type": "websocket.send", "text": PROBED})
                    self._upgrading = True
                    self._wake.set()
                    upgrade = await next_frame(receive) == UPGRADE
                    flushing = self.ending is not None and self.ending.flush
                    open_ = flushing or not self._ended.is_set()
                    self.upgraded = upgrade and not self._posting and open_
        except (
            TimeoutError,
            OSError,
            RuntimeError,
        ):  # as in `_write`: it is gone before its answer
            pass
        finally:
            self._probe = None
            self._upgrading = False
            if not self._outbox and self.ending is None:
                self._wake.clear()
        return self.upgraded

    async def carry(
        self,
        receive: Receive,
        send: Send,
        abort: Callable[[], object],
        direct: Direct | None = None,
    ) -> None:
        """Be this connection's websocket until its end, which comes in bounded time."""
        self.upgraded = True
        self._direct = direct
        if direct is not None:
            direct.listen(self._take_now)
        self._wake.set()
        reader = self._reader = asyncio.create_task(self._read(receive))
        writer = asyncio.create_task(self._write(send))
        try:
            await self._ended.wait()
            await asyncio.wait({writer}, timeout=CLOSE_GRACE)
        finally:
            self.end(TRANSPORT_CLOSED)  # unless ended already: this task was cancelled
            reader.cancel()
            writer.cancel()
            for outcome in await asyncio.gather(reader, writer, return_exceptions=True):
                if isinstance(outcome, Exception):
                    logger.error("websocket of %s failed", self.sid, exc_info=outcome)
            self.over.set()
        # The close frame may sit in a buffer that a peer who does not read never drains; the
        # server's own close would wait for it without end.
        if writer.cancelled() or not writer.result():
            abort()
        else:
            self._loop.call_later(CLOSE_GRACE, abort)

    def has_room(self) -> bool:
        """Whether the client has read half of what waits for it."""
        return self._outbox.room.is_set()

    def _take_now(self, frame: str) -> bool:
        """Take a message as it arrives, with no turn of the loop between; False: read it."""
        return (
            self._resting
            and self.ending is None
            and frame.startswith(MESSAGE)
            and len(frame) <= self.server.max_payload
            and self.server.take_now(self, frame[1:])
        )

    async def _read(self, receive: Receive) -> None:
        try:
            while self.ending is None:
                self._resting = True
                frame = await next_frame(receive)
                self._resting = False
                if frame is None:
                    return
                if len(frame) > self.server.max_payload:
                    self.end(TOO_LARGE)
                else:
                    await self._take(frame)
        finally:
            self.end(TRANSPORT_CLOSED)

    async def _write(self, send: Send) -> bool:
        """Send what is queued until the end, then the close frame; False if that failed."""
        try:
            while True:
                self._idle = not self._outbox and self.ending is None
                await self._wake.wait()
                self._idle = False
                self._wake.clear()
                while encoded := self._outbox.take():
                    for frame in encoded.frames:
                        kind = "text" if isinstance(frame, str) else "bytes"
                        async with asyncio.timeout(self.server.send_timeout):
                            await send({"type": "websocket.send", kind: frame})
                if self.ending is not None:
                    close = {"code": self.ending.code, "reason": self.ending.note}
                    await send({"type": "websocket.close", **close})
                    return True
        except TimeoutError:
            self.end(SLOW_READER)
        except (OSError, RuntimeError):  # what ASGI servers raise once the websocket is closed
            self.end(TRANSPORT_CLOSED)
        return False


_PING = EncodedEvent.of(PING)
