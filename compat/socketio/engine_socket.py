"""The server's end of one Engine.IO session: its bounded queue, its liveness, and how it ends.

python-engineio's `AsyncSocket` queues without a bound, may lose a packet when a poll is cancelled,
logs a traceback for each bad packet and goes on, and leaves waiting GETs, writers and silent
clients behind: each of its methods would have to be overridden.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from compat.socketio.endings import BAD_PACKET, CLIENT_CLOSED, PING_TIMEOUT, SLOW_READER, Ending
from compat.socketio.outbox import Outbox
from compat.socketio.packets import CLOSE, MESSAGE, PING, PONG, BadPacket, EncodedEvent, Frame
from compat.socketio.transports import Direct

if TYPE_CHECKING:
    from compat.socketio.engine import EngineServer

logger = logging.getLogger(__name__)

CLOSE_GRACE = 2.0  # for a close frame, and what is before it, to leave; then the transport is cut
LATE_SECONDS = 0.05  # by which a timer may be late without a loop that is busy
LINGER = 5.0  # for a polling client to come back and be told that it was closed


class Transport(Protocol):
    """What carries the packets of a session: its polling, or its websocket."""

    def wake(self) -> None:
        """Send what is queued, or end: the session has."""


class EngineSocket:
    """One session: what waits to be sent, whether the client lives, and its transport now.

    An idle one is kept small: there are thousands of them.
    """

    __slots__ = (
        "_handling",
        "_loop",
        "_over",
        "_pong_due",
        "_timer",
        "client",
        "count_off",
        "direct",
        "ending",
        "options",
        "outbox",
        "reader",
        "reader_stopped",
        "server",
        "sid",
        "transport",
        "upgraded",
    )

    def __init__(self, server: "EngineServer", sid: str, count_off: Callable[[], None]) -> None:
        self.server = server
        self.options = server.options
        self.sid = sid
        self.client: Any = None  # what the application keeps of the session
        self.ending: Ending | None = None
        self.upgraded = False
        self.count_off = count_off  # from the sessions of its address

        self.outbox = Outbox(self.options.queue_messages, self.options.queue_bytes)
        self.transport: Transport | None = None
        # How to write to the websocket at once; None while something waits, or is being sent.
        self.direct: Direct | None = None
        # The task that reads the client's packets; the end stops it, even within a packet.
        self.reader: asyncio.Task[None] | None = None
        self.reader_stopped = False
        self._over: asyncio.Event | None = None
        self._handling = False
        self._pong_due = False
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self.options.ping_interval, self._ping)

    @property
    def over(self) -> asyncio.Event:
        """Set once the client was told of the end, or can no longer be told."""
        if self._over is None:
            self._over = asyncio.Event()
        return self._over

    def push(self, encoded: EncodedEvent) -> bool:
        """Queue without waiting; a full queue ends the session. False: it will not be sent."""
        if self.ending is not None:
            return False
        direct = self.direct
        if direct is not None and encoded.texts and direct.writable():
            # Nothing waits before this event, and the peer reads: no queue and no task is needed.
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
        """End the session, once; return at once, the transport follows in bounded time."""
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
        """Forget what is queued; a task that waits for room in the queue goes on."""
        while self.outbox.pop():
            pass

    # Liveness: one timer, for the next ping or for its pong.

    def look(self) -> None:
        """End the session if its pong is overdue: a request may come before the timer does."""
        if self._pong_due and self.ending is None and self._loop.time() >= self._timer.when():
            self._timer.cancel()
            self._overdue()

    def _ping(self) -> None:
        self._pong_due = True
        # Counted from the time when the ping was due: clients count so too. But when the loop is
        # late because it is busy, that delay is not taken from the client's time.
        sent_at = max(self._timer.when(), self._loop.time() - LATE_SECONDS)
        self._timer = self._loop.call_at(sent_at + self.options.ping_timeout, self._overdue)
        self.push(_PING)

    def _overdue(self) -> None:
        if self._handling:  # the pong may wait behind an event that this server makes wait
            self._timer = self._loop.call_later(self.options.ping_timeout, self._overdue)
        else:
            self.end(PING_TIMEOUT)

    def _pong(self) -> None:
        if self._pong_due:
            self._pong_due = False
            self._timer.cancel()
            self._timer = self._loop.call_later(self.options.ping_interval, self._ping)

    # From the client, over either transport.

    async def wait_for_room(self) -> None:
        """Wait, from within the handling of a packet, until the client has read half of its queue.

        Without this, a client that sends many events at once would overflow its queue by their
        answers.
        """
        self._handling = False  # a client that does not read answers no ping either
        await self.outbox.room.wait()
        self._handling = True

    async def handle(self, frame: Frame) -> None:
        """Act on one packet of the client; a bad packet ends the session."""
        self._handling = True
        try:
            if isinstance(frame, bytes):
                await self.server.application.on_message(self, frame)
            elif frame.startswith(MESSAGE):
                await self.server.application.on_message(self, frame[1:])
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
            self._handling = False


_PING = EncodedEvent.of(PING)
