"""uvicorn's WebSocket protocol, able to end a connection whose peer does not read.

And able to be written to without a task, a wait and a system call for each message.
"""

from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.http11 import Request

# uvicorn stops reading after each message, and begins again after each: two system calls. What
# came already waits in its queue either way.
MAX_UNREAD = 16
LARGE_MESSAGE = 16 * 1024


class DirectWebSocket(WebSocketsSansIOProtocol):
    """Adds the ASGI extensions `parley.abort` and `parley.write`.

    uvicorn closes a connection with `transport.close()`, which waits for its buffer to drain: that
    of a peer that has stopped reading never does. `abort` does not wait.

    `write` sends a text message, given in UTF-8, after whatever was sent before; messages of one
    turn of the loop go out together. It never waits: while `writable` (an event) is not set, use
    the ASGI message, which does.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unsent: list[bytes] = []

    def handle_connect(self, event: Request) -> None:
        """Offer the extensions to the application."""
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the handshake was sound
            extensions: dict[object, object] = self.scope["extensions"]  # type: ignore[assignment]  # the ASGI type closes the dict
            extensions["parley.abort"] = {"abort": self._abort}
            extensions["parley.write"] = {"write": self._write, "writable": self.writable}

    def send_receive_event_to_app(self) -> None:
        """Hand over a message; go on reading while there are few."""
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self._refuse_text()
            return
        size = sum(map(len, self.frames))
        if not self.read_paused and self.queue.qsize() < MAX_UNREAD and size <= LARGE_MESSAGE:
            self.read_paused = True  # uvicorn's own does not pause then
            super().send_receive_event_to_app()
            self.read_paused = False
        else:
            super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Answer; read no more from a peer that does not read its answers: they would pile up."""
        super().handle_ping()
        if not self.writable.is_set() and not self.read_paused and not self.transport.is_closing():
            self.read_paused = True
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on as well, unless what came already waits."""
        super().resume_writing()
        if self.read_paused and self.queue.empty() and not self.transport.is_closing():
            self.read_paused = False
            self.transport.resume_reading()

    async def send(self, message: ASGISendEvent) -> None:
        """Send what was written before it, then the message."""
        await self.writable.wait()
        self._flush()
        await super().send(message)

    def shutdown(self) -> None:
        """End the connection, but not one that is being closed and waits for the peer's reply.

        uvicorn would end that at once: a peer still sending gets a reset, which throws away the
        answers, and the reason of the close, that it has not read yet.
        """
        self._flush()
        if self.close_timer is None:
            super().shutdown()

    def keepalive_timeout(self) -> None:
        """End a connection whose peer has not answered a ping in time."""
        super().keepalive_timeout()
        self._abort()

    def _refuse_text(self) -> None:
        # uvicorn's own logs an error and a traceback for each.
        self.frames = []
        if not self.close_sent:
            if self.conn.close_sent is None:  # else the peer has closed, behind its message
                self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()

    def _write(self, text: bytes) -> None:
        if self.close_sent or self.disconnected:
            return  # whoever reads hears of it
        if not self._unsent:
            self.loop.call_soon(self._flush)
        # RFC 6455 §5.2: a whole message in one frame, not masked.
        size = len(text)
        if size < 126:
            head = bytes((0x81, size))
        elif size < 65536:
            head = b"\x81\x7e" + size.to_bytes(2, "big")
        else:
            head = b"\x81\x7f" + size.to_bytes(8, "big")
        self._unsent += (head, text)

    def _flush(self) -> None:
        if self._unsent:
            unsent = b"".join(self._unsent)
            self._unsent.clear()
            if not self.transport.is_closing():
                self.transport.write(unsent)

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


def _is_utf8(parts: list[bytes]) -> bool:
    if all(map(bytes.isascii, parts)):
        return True
    try:
        b"".join(parts).decode()
    except UnicodeDecodeError:
        return False
    return True
