"""The polling of one Engine.IO client, and its move to a websocket."""

import asyncio
import logging
from collections.abc import Iterable

from starlette.types import Receive, Send

from compat.socketio.connection import LINGER, Connection
from compat.socketio.endings import BAD_PACKET, CLIENT_CLOSED, TOO_LARGE, TRANSPORT_CLOSED
from compat.socketio.packets import (
    CLOSE,
    NOOP,
    PROBE,
    PROBED,
    UPGRADE,
    BadPacket,
    Frame,
    decode_payload,
)
from compat.socketio.transports import next_frame, read_body

logger = logging.getLogger(__name__)

UPGRADE_TIMEOUT = 10.0  # as the Node server
FRAMES_A_TURN = 100  # of one POST, before other clients get a turn
POLLED_AT_ONCE = 16  # python-engineio's client gives up on an answer of more packets


class Polling:
    """GETs that wait for the next packets, POSTs that bring some, one of each at a time."""

    __slots__ = ("_getting", "_posting", "_probe", "_upgrading", "_waiting", "connection")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        connection.transport = self
        self._getting = False
        self._waiting: asyncio.Future[None] | None = None  # a GET, for something to answer
        self._posting = False
        self._probe: asyncio.Timeout | None = None
        self._upgrading = False

    def wake(self) -> None:
        """Have the waiting GET answered; at the end, a client that is upgrading goes on or out."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        ending = self.connection.ending
        if ending is not None and self._probe is not None and not self._probe.expired():
            # A client that has its answer to the probe polls no more: what is still for it can
            # only go over the websocket, once it has said UPGRADE.
            wait = LINGER if self._upgrading and ending.flush else 0
            self._probe.reschedule(asyncio.get_running_loop().time() + wait)

    async def get(self, receive: Receive) -> list[Frame]:
        """The next packets for the client, as soon as there are some."""
        if self._getting:
            self.connection.end(BAD_PACKET)
            raise BadPacket("two GETs at once")
        self._getting = True
        # A GET whose client went away would take packets with it: end the connection instead,
        # so that the client resumes. Packets are taken only after the last await of this method.
        watch = asyncio.create_task(self._watch(receive))
        try:
            if not self._has_answer():
                self._waiting = asyncio.get_running_loop().create_future()
                await self._waiting
        finally:
            watch.cancel()
            self._waiting = None
            self._getting = False
        return self.take_payload()

    def _has_answer(self) -> bool:
        connection = self.connection
        return (
            bool(connection.outbox)
            or connection.ending is not None
            or self._upgrading
            or connection.upgraded
        )

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.connection.end(TRANSPORT_CLOSED)

    def take_payload(self) -> list[Frame]:
        """What is queued, as much as one polling answer may carry; after the last, CLOSE.

        CLOSE comes alone: python-socketio's client closes before it handles what came with it. A
        client that said CLOSE itself gets NOOP in its GET that waits, as from the Node server.
        """
        connection = self.connection
        if connection.upgraded:
            return [NOOP]  # the websocket owns the queue now
        frames: list[Frame] = []
        size = 0
        while size < connection.server.max_payload and len(frames) < POLLED_AT_ONCE:
            if (encoded := connection.outbox.take()) is None:
                break
            frames += encoded.frames
            size += encoded.size
        if not frames and connection.ending is not None:
            connection.over.set()
            return [NOOP if connection.ending is CLIENT_CLOSED else CLOSE]
        return frames or [NOOP]

    async def post(self, receive: Receive) -> int:
        """Take the packets of the client's POST in order; returns the HTTP status."""
        connection = self.connection
        if self._posting:
            connection.end(BAD_PACKET)
            return 400
        self._posting = True
        try:
            # A body that trickles in holds the events behind it: no longer than a lost pong may.
            async with asyncio.timeout(connection.server.ping_timeout):
                body = await read_body(receive, connection.server.max_payload)
            if body is None:
                connection.end(TOO_LARGE)
                return 413
            # A task, so that the end of the connection can stop it while an event waits its turn.
            reader = connection.reader = asyncio.create_task(self._take_all(decode_payload(body)))
            await asyncio.gather(reader, return_exceptions=True)
            if not reader.cancelled():
                reader.result()
        except (BadPacket, TimeoutError) as error:
            logger.debug("bad POST from %s: %s", connection.sid, error)
            connection.end(BAD_PACKET)
        finally:
            self._posting = False
            connection.reader = None
        # Not 400 when the server ends it: the client would drop its GET, and what is flushed there.
        return 400 if connection.ending is BAD_PACKET else 200

    async def _take_all(self, frames: Iterable[Frame]) -> None:
        for number, frame in enumerate(frames):
            if self.connection.ending is not None:
                return
            if number % FRAMES_A_TURN == FRAMES_A_TURN - 1:
                await asyncio.sleep(0)
            await self.connection.take(frame)

    async def upgrade(self, receive: Receive, send: Send) -> bool:
        """Try to move to this websocket; if that fails, polling goes on.

        The client sends UPGRADE only after its waiting GET was answered and no POST is under way,
        so what polling took is read before, and what the websocket takes is sent after.
        """
        connection = self.connection
        if self._probe is not None or connection.upgraded or connection.ending is not None:
            return False
        try:
            async with asyncio.timeout(UPGRADE_TIMEOUT) as self._probe:
                if await next_frame(receive) == PROBE:
                    await send({"type": "websocket.send", "text": PROBED})
                    self._upgrading = True
                    self.wake()
                    upgrade = await next_frame(receive) == UPGRADE
                    ending = connection.ending
                    open_ = ending is None or ending.flush
                    connection.upgraded = upgrade and not self._posting and open_
        except (
            TimeoutError,
            OSError,
            RuntimeError,  # what ASGI servers raise once the websocket is closed
        ):
            pass  # it is gone before its answer
        finally:
            self._probe = None
            self._upgrading = False
        return connection.upgraded
