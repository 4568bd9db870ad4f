"""The polling of one Engine.IO client, and its move to a websocket."""

import asyncio
import logging
from collections.abc import Iterable

from starlette.types import Receive, Send

from compat.socketio.endings import BAD_PACKET, CLIENT_CLOSED, TOO_LARGE, TRANSPORT_CLOSED
from compat.socketio.engine_socket import LINGER, EngineSocket
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
from compat.socketio.transports import CLOSED, next_frame, read_body

logger = logging.getLogger(__name__)

UPGRADE_TIMEOUT = 10.0  # as the Node server
FRAMES_A_TURN = 100  # of one POST, before other clients get a turn
POLLED_AT_ONCE = 16  # python-engineio's client gives up on an answer of more packets


class Polling:
    """GETs that wait for the next packets, POSTs that bring some, one of each at a time."""

    __slots__ = ("_getting", "_posting", "_probe", "_upgrading", "_waiting", "socket")

    def __init__(self, socket: EngineSocket) -> None:
        self.socket = socket
        socket.transport = self
        self._getting = False
        self._waiting: asyncio.Future[None] | None = None  # a GET, for something to answer
        self._posting = False
        self._probe: asyncio.Timeout | None = None
        self._upgrading = False

    def wake(self) -> None:
        """Answer the GET that waits; at the end, finish or give up an upgrade."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        ending = self.socket.ending
        if ending is not None and self._probe is not None and not self._probe.expired():
            # A client that has its answer to the probe polls no more: what is queued can only go
            # over the websocket, once the client has said UPGRADE.
            wait = LINGER if self._upgrading and ending.flush else 0
            self._probe.reschedule(asyncio.get_running_loop().time() + wait)

    async def get(self, receive: Receive) -> list[Frame]:
        """Return the next packets for the client, as soon as there are some."""
        if self._getting:
            self.socket.end(BAD_PACKET)
            raise BadPacket("two GETs at once")
        self._getting = True
        # The packets of a GET whose client went away would be lost: end the session instead, so
        # that the client resumes. Packets leave the queue only after the last await here.
        watch = asyncio.create_task(self._watch(receive))
        try:
            if not self._has_answer():
                self._waiting = asyncio.get_running_loop().create_future()
                await self._waiting
        finally:
            watch.cancel()
            self._waiting = None
            self._getting = False
        return self.pop_payload()

    def _has_answer(self) -> bool:
        socket = self.socket
        return (
            bool(socket.outbox) or socket.ending is not None or self._upgrading or socket.upgraded
        )

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.socket.end(TRANSPORT_CLOSED)

    def pop_payload(self) -> list[Frame]:
        """Return what is queued, as much as one polling answer may carry; after the last, CLOSE.

        CLOSE comes alone: python-socketio's client closes before it handles what came with it. A
        client that said CLOSE itself gets NOOP in its GET that waits, as from the Node server.
        """
        socket = self.socket
        if socket.upgraded:
            return [NOOP]  # the websocket owns the queue now
        frames: list[Frame] = []
        size = 0
        while size < socket.options.max_payload and len(frames) < POLLED_AT_ONCE:
            if (encoded := socket.outbox.pop()) is None:
                break
            frames += encoded.frames
            size += encoded.size
        if not frames and socket.ending is not None:
            socket.over.set()
            return [NOOP if socket.ending is CLIENT_CLOSED else CLOSE]
        return frames or [NOOP]

    async def post(self, receive: Receive) -> int:
        """Handle the packets of the client's POST in order; return the HTTP status."""
        socket = self.socket
        if self._posting:
            socket.end(BAD_PACKET)
            return 400
        self._posting = True
        try:
            # Events wait behind a body that comes slowly: no longer than for a lost pong.
            async with asyncio.timeout(socket.options.ping_timeout):
                body = await read_body(receive, socket.options.max_payload)
            if body is None:
                socket.end(TOO_LARGE)
                return 413
            # A task, so that the end of the session can stop it while an event waits.
            reader = socket.reader = asyncio.create_task(self._handle_all(decode_payload(body)))
            await asyncio.gather(reader, return_exceptions=True)
            if not reader.cancelled():
                reader.result()
        except (BadPacket, TimeoutError) as error:
            logger.debug("bad POST from %s: %s", socket.sid, error)
            socket.end(BAD_PACKET)
        finally:
            self._posting = False
            socket.reader = None
        # Not 400 when the server ends the session: the client would drop the answer to its GET.
        return 400 if socket.ending is BAD_PACKET else 200

    async def _handle_all(self, frames: Iterable[Frame]) -> None:
        for number, frame in enumerate(frames):
            if self.socket.ending is not None:
                return
            if number % FRAMES_A_TURN == FRAMES_A_TURN - 1:
                await asyncio.sleep(0)
            await self.socket.handle(frame)

    async def upgrade(self, receive: Receive, send: Send) -> bool:
        """Try to move to this websocket; if that fails, polling goes on.

        The client sends UPGRADE only when its GET was answered and it has no POST under way. So
        polling ends before the websocket begins, in both directions.
        """
        socket = self.socket
        if self._probe is not None or socket.upgraded or socket.ending is not None:
            return False
        try:
            async with asyncio.timeout(UPGRADE_TIMEOUT) as self._probe:
                if await next_frame(receive) == PROBE:
                    await send({"type": "websocket.send", "text": PROBED})
                    self._upgrading = True
                    self.wake()
                    upgrade = await next_frame(receive) == UPGRADE
                    ending = socket.ending
                    open_ = ending is None or ending.flush
                    socket.upgraded = upgrade and not self._posting and open_
        except (TimeoutError, *CLOSED):
            pass  # the websocket is gone before its answer
        finally:
            self._probe = None
            self._upgrading = False
        return socket.upgraded
