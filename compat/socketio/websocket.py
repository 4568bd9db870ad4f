"""The websocket of one Engine.IO client."""

import asyncio
import logging
from collections.abc import Callable

from starlette.types import Receive, Send

from compat.socketio.connection import CLOSE_GRACE, Connection
from compat.socketio.endings import SLOW_READER, TOO_LARGE, TRANSPORT_CLOSED
from compat.socketio.packets import MESSAGE
from compat.socketio.transports import Direct

logger = logging.getLogger(__name__)


class Websocket:
    """Carries a connection in the task that serves the websocket, which reads it.

    There is a second one, the writer, only while something is queued: because the peer does not
    read, or for binary frames. All else is written at once.
    """

    __slots__ = ("_abort", "_broken", "_direct", "_resting", "_send", "_writer", "connection")

    def __init__(
        self,
        connection: Connection,
        send: Send,
        abort: Callable[[], object],
        direct: Direct | None = None,
    ) -> None:
        self.connection = connection
        self._send = send
        self._abort = abort
        self._direct = direct
        self._writer: asyncio.Task[None] | None = None
        self._broken = False  # the peer does not take what is sent
        self._resting = False  # the reader waits, and has taken all that came

    def wake(self) -> None:
        """Begin to send what is queued."""
        if self._writer is None and self.connection.outbox:
            self.connection.direct = None  # what comes now is sent after it
            self._writer = asyncio.create_task(self._write())

    def take_over(self) -> None:
        """Be the connection's transport from now on, in the place of another."""
        connection = self.connection
        connection.upgraded = True
        if connection.transport is not None:
            connection.transport.wake()  # a GET that waits gets its answer
        connection.transport = self
        connection.direct = self._direct
        if self._direct is not None:
            self._direct.listen(self._take_now)
        self.wake()

    async def carry(self, receive: Receive) -> None:
        """Serve until the connection's end, which comes in bounded time."""
        connection = self.connection
        closed = False
        try:
            await self._read(receive)
            closed = await self._close()
        finally:
            connection.end(TRANSPORT_CLOSED)  # unless ended already: this task was cancelled
            if self._writer is not None:
                self._writer.cancel()
            connection.over.set()
        # The close frame may sit in a buffer that a peer who does not read never drains; the
        # server's own close would wait for it without end.
        if closed:
            asyncio.get_running_loop().call_later(CLOSE_GRACE, self._abort)
        else:
            self._abort()

    def _take_now(self, frame: str) -> bool:
        """Take a message as it arrives, with no turn of the loop between; False: read it."""
        connection = self.connection
        return (
            self._resting
            and connection.ending is None
            and frame.startswith(MESSAGE)
            and len(frame) <= connection.server.max_payload
            and connection.server.take_now(connection, frame[1:])
        )

    async def _read(self, receive: Receive) -> None:
        """Take what comes until the end."""
        connection = self.connection
        task = connection.reader = asyncio.current_task()
        try:
            while connection.ending is None:
                self._resting = True
                message = await receive()
                self._resting = False
                if message["type"] != "websocket.receive":
                    break
                text = message.get("text")
                frame = bytes(message["bytes"]) if text is None else text
                if len(frame) > connection.server.max_payload:
                    connection.end(TOO_LARGE)
                else:
                    await connection.take(frame)
        except asyncio.CancelledError:
            # By `Connection.end`, which stops the reading and not the task; or by somebody else.
            if not connection.reader_stopped or task is None or task.uncancel():
                raise
        except Exception:
            logger.exception("websocket of %s failed", connection.sid)
        finally:
            connection.reader = None
        connection.end(TRANSPORT_CLOSED)

    async def _write(self) -> None:
        """Send what is queued; then what comes is written at once again."""
        connection = self.connection
        try:
            while encoded := connection.outbox.take():
                for frame in encoded.frames:
                    kind = "text" if isinstance(frame, str) else "bytes"
                    async with asyncio.timeout(connection.server.send_timeout):
                        await self._send({"type": "websocket.send", kind: frame})
            self._writer = None
            connection.direct = self._direct
            return
        except TimeoutError:
            connection.end(SLOW_READER)
        except (OSError, RuntimeError):  # what ASGI servers raise once the websocket is closed
            connection.end(TRANSPORT_CLOSED)
        except Exception:
            logger.exception("websocket of %s failed", connection.sid)
            connection.end(TRANSPORT_CLOSED)
        self._broken = True

    async def _close(self) -> bool:
        """Send what is left, then the close frame; False if they could not leave in time."""
        ending = self.connection.ending or TRANSPORT_CLOSED
        try:
            async with asyncio.timeout(CLOSE_GRACE):
                if self._writer is not None:
                    await self._writer
                if not self._broken:
                    close = {"code": ending.code, "reason": ending.note}
                    await self._send({"type": "websocket.close", **close})
                    return True
        except (TimeoutError, OSError, RuntimeError):
            pass
        return False
