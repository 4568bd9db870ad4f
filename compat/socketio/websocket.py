"""The websocket of one Engine.IO client."""

import asyncio
import logging

from starlette.types import Receive, Scope, Send

from compat.socketio.endings import SLOW_READER, TOO_LARGE, TRANSPORT_CLOSED
from compat.socketio.engine_socket import CLOSE_GRACE, EngineSocket
from compat.socketio.packets import MESSAGE
from compat.socketio.transports import CLOSED, Direct, abort_of

logger = logging.getLogger(__name__)


class Websocket:
    """Carries a session in the task that serves the websocket: that task reads.

    A second task, the writer, runs only while something is queued: when the peer does not read,
    and for binary frames. All else is written at once.
    """

    __slots__ = ("_abort", "_broken", "_direct", "_send", "_waiting", "_writer", "socket")

    def __init__(self, socket: EngineSocket, scope: Scope, send: Send) -> None:
        self.socket = socket
        self._send = send
        self._abort = abort_of(scope)
        self._direct = Direct.of(scope)
        self._writer: asyncio.Task[None] | None = None
        self._broken = False  # nothing more can be sent to the peer
        self._waiting = False  # the reader waits, and has handled all that came

    def wake(self) -> None:
        """Start the writer, if something is queued."""
        if self._writer is None and self.socket.outbox:
            self.socket.direct = None  # events from now on are sent after the queue
            self._writer = asyncio.create_task(self._write())

    def attach(self) -> None:
        """Become the session's transport, in the place of its polling."""
        socket = self.socket
        socket.upgraded = True
        if socket.transport is not None:
            socket.transport.wake()  # a GET that waits gets its answer
        socket.transport = self
        socket.direct = self._direct
        if self._direct is not None:
            self._direct.listen(self._handle_now)
        self.wake()

    async def carry(self, receive: Receive) -> None:
        """Serve until the session's end, which comes in bounded time."""
        socket = self.socket
        closed = False
        try:
            await self._read(receive)
            closed = await self._close()
        finally:
            socket.end(TRANSPORT_CLOSED)  # unless ended already: this task was cancelled
            if self._writer is not None:
                self._writer.cancel()
            socket.over.set()
        # The close frame may sit in a buffer that a peer who does not read never drains; the
        # server's own close would wait for it without end.
        if closed:
            asyncio.get_running_loop().call_later(CLOSE_GRACE, self._abort)
        else:
            self._abort()

    def _handle_now(self, frame: str) -> bool:
        """Handle a message as it arrives, without a turn of the loop; False: it is to be read."""
        socket = self.socket
        return (
            self._waiting
            and socket.ending is None
            and frame.startswith(MESSAGE)
            and len(frame) <= socket.options.max_payload
            and socket.server.application.handle_now(socket, frame[1:])
        )

    async def _read(self, receive: Receive) -> None:
        """Handle what comes until the end."""
        socket = self.socket
        task = socket.reader = asyncio.current_task()
        try:
            while socket.ending is None:
                self._waiting = True
                message = await receive()
                self._waiting = False
                if message["type"] != "websocket.receive":
                    break
                text = message.get("text")
                frame = bytes(message["bytes"]) if text is None else text
                if len(frame) > socket.options.max_payload:
                    socket.end(TOO_LARGE)
                else:
                    await socket.handle(frame)
        except asyncio.CancelledError:
            # By `EngineSocket.end`, which stops the reading and not the task; or by the server.
            if not socket.reader_stopped or task is None or task.uncancel():
                raise
        except Exception:
            logger.exception("websocket of %s failed", socket.sid)
        finally:
            socket.reader = None
        socket.end(TRANSPORT_CLOSED)

    async def _write(self) -> None:
        """Send what is queued; later events are then written at once again."""
        socket = self.socket
        try:
            while encoded := socket.outbox.pop():
                for frame in encoded.frames:
                    kind = "text" if isinstance(frame, str) else "bytes"
                    async with asyncio.timeout(socket.options.send_timeout):
                        await self._send({"type": "websocket.send", kind: frame})
            self._writer = None
            socket.direct = self._direct
            return
        except TimeoutError:
            socket.end(SLOW_READER)
        except CLOSED:
            socket.end(TRANSPORT_CLOSED)
        except Exception:
            logger.exception("websocket of %s failed", socket.sid)
            socket.end(TRANSPORT_CLOSED)
        self._broken = True

    async def _close(self) -> bool:
        """Send what is left, then the close frame; False if they could not leave in time."""
        ending = self.socket.ending or TRANSPORT_CLOSED
        try:
            async with asyncio.timeout(CLOSE_GRACE):
                if self._writer is not None:
                    await self._writer
                if not self._broken:
                    close = {"code": ending.code, "reason": ending.note}
                    await self._send({"type": "websocket.close", **close})
                    return True
        except (TimeoutError, *CLOSED):
            pass
        return False
