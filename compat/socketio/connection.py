"""One Engine.IO client, its bounded queue, and how it ends.

`Connection` takes the place of `engineio.AsyncSocket`. That one queues without bound, may lose a
packet when a poll is cancelled, logs a traceback for each bad packet and goes on, and leaves
waiting GETs, writers and silent clients behind: every method of it would have to be overridden.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from compat.socketio.endings import BAD_PACKET, CLIENT_CLOSED, PING_TIMEOUT, SLOW_READER, Ending
from compat.socketio.outbox import Outbox
from compat.socketio.packets import CLOSE, MESSAGE, PING, PONG, BadPacket, EncodedEvent, Frame
from compat.socketio.transports import Direct

logger = logging.getLogger(__name__)

CLOSE_GRACE = 2.0  # for a close frame, and what is before it, to leave; then the transport is cut
LATE_SECONDS = 0.05  # by which a timer may be late without a loop that is busy
LINGER = 5.0  # for a polling client to come back and be told that it was closed


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


class Transport(Protocol):
    """What carries the packets of a connection: its polling, or its websocket."""

    def wake(self) -> None:
        """There is something to send, or the end has come."""


class Connection:
    """One client: what waits to be sent to it, whether it lives, and the transport it has now.

    An idle one is kept small: there are thousands of them.
    """

    __slots__ = (
        "_loop",
        "_over",
        "_pong_due",
        "_session",
        "_taking",
        "_timer",
        "closed",
        "count_off",
        "direct",
        "ending",
        "outbox",
        "reader",
        "reader_stopped",
        "server",
        "sid",
        "transport",
        "upgraded",
    )

    def __init__(self, server: Server, sid: str) -> None:
        self.server = server
        self.sid = sid
        self.ending: Ending | None = None
        self.upgraded = False
        self.closed = False  # of interest to engineio.AsyncServer's own methods
        self.count_off: Callable[[], None] | None = None  # where the server counts it

        self.outbox = Outbox(server.queue_messages, server.queue_bytes)
        self.transport: Transport | None = None
        # How to write to the websocket at once; None while something waits, or is being sent.
        self.direct: Direct | None = None
        # The task that takes what the client sent; the end stops it, even within a packet.
        self.reader: asyncio.Task[None] | None = None
        self.reader_stopped = False
        self._session: dict[str, object] | None = None
        self._over: asyncio.Event | None = None
        self._taking = False
        self._pong_due = False
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(server.ping_interval, self._ping)

    @property
    def session(self) -> dict[str, object]:
        """What engineio.AsyncServer's own methods keep for the application."""
        if self._session is None:
            self._session = {}
        return self._session

    @property
    def over(self) -> asyncio.Event:
        """Set once the client was told of the end, or is beyond telling."""
        if self._over is None:
            self._over = asyncio.Event()
        return self._over

    def push(self, encoded: EncodedEvent) -> bool:
        """Queue without waiting; a full queue ends the connection. False: it will not be sent."""
        if self.ending is not None:
            return False
        direct = self.direct
        if direct is not None and encoded.texts and direct.writable():
            # Nothing waits before it, and the peer reads: no need of the queue and a task.
            for text in encoded.texts:
                direct.write(text)
            return True
        if not self.outbox.put(encoded):
            self.end(SLOW_READER)
            return False
        if self.transport is not None:
            self.transport.wake()
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
        if self.transport is not None:
            self.transport.wake()
        if self.reader is not None and self.reader is not asyncio.current_task():
            self.reader_stopped = True
            self.reader.cancel()
        self.server.on_end(self, ending)

    def empty(self) -> None:
        """Forget what is queued; whoever waits for room in it goes on."""
        while self.outbox.take():
            pass

    # Liveness: one timer, for the next ping or for its pong.

    def look(self) -> None:
        """End the connection if its pong is overdue: a request may come before the timer does."""
        if self._pong_due and self.ending is None and self._loop.time() >= self._timer.when():
            self._timer.cancel()
            self._overdue()

    def _ping(self) -> None:
        self._pong_due = True
        # From when it was due, or clients that count the time would be told a little late; but a
        # busy loop's delay is not taken from the client's time.
        sent_at = max(self._timer.when(), self._loop.time() - LATE_SECONDS)
        self._timer = self._loop.call_at(sent_at + self.server.ping_timeout, self._overdue)
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

    def has_room(self) -> bool:
        """Whether the client has read half of what waits for it."""
        return self.outbox.room.is_set()

    async def half_read(self) -> None:
        """Wait until the client has read half of what waits for it."""
        await self.outbox.room.wait()

    async def room(self) -> None:
        """Wait, from within its own packets, until the client has read half of what waits for it.

        Without this, who sends many events at once would overflow its queue by their answers.
        """
        self._taking = False  # a client that does not read answers no ping either
        await self.outbox.room.wait()
        self._taking = True

    async def take(self, frame: Frame) -> None:
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


_PING = EncodedEvent.of(PING)
