"""uvicorn's WebSocket protocol, able to end a connection whose peer does not read.

And able to be read and written without a task, a wait and a system call for each message.
"""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from uvicorn._types import ASGISendEvent, WebSocketAcceptEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import CloseCode, apply_mask  # type: ignore[attr-defined]  # it is in C, mostly
from websockets.http11 import Request
from websockets.protocol import Protocol, State

from server.handshake import answer, proof_for, subprotocols_of
from server.inbox import Inbox
from server.outbox import outbox_of

# uvicorn stops reading after each message, and begins again after each: two system calls. What
# came already waits in its queue either way.
MAX_UNREAD = 16
LARGE_MESSAGE = 16 * 1024
# RFC 6455 §5.2: a whole text message; the bit that says that a mask follows; its length.
TEXT = 0x81
MASKED = 0x80
MASK_BYTES = 4

# Shared by all connections that may be written to: an event of its own takes a kilobyte.
_WRITABLE = asyncio.Event()
_WRITABLE.set()


class DirectWebSocket(WebSocketsSansIOProtocol):
    """Adds the ASGI extensions `parley.abort`, `parley.write` and `parley.read`.

    uvicorn closes a connection with `transport.close()`, which waits for its buffer to drain: that
    of a peer that has stopped reading never does. `abort` does not wait.

    `write` sends a text message, given in UTF-8 (in parts, if that saves a copy), after whatever
    was sent before; messages of one turn of the loop and the next go out together: what a commit
    announces, and the answer to who asked for it. It never waits: while `writable()` is False,
    use the ASGI message, which does.

    `listen` is given a function that is called with each text message as it arrives, while no
    earlier one waits to be received; when it returns False the message is received as ever.

    A text message in one frame, which nearly all are, is read here: the library takes four times
    as long. It is handed every other frame, whole, and judges it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.queue = Inbox()  # type: ignore[assignment]  # what uvicorn asks of it
        self.writable = _WRITABLE
        self._unsent: list[bytes] = []
        self._outbox = outbox_of(self.loop)
        self._listener: Callable[[str], bool] | None = None
        self._handshakes = 0
        self._proof: str | None = None  # of a handshake that we answer
        self._framing = False
        self._rest = bytearray()  # a frame that has not come whole
        self._rest_size = 0  # how long it will be, as far as that is known

    def take_handshake(self, path: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Begin with a GET that was read already: the library takes as long again to read it.

        Its method, path and headers are sound HTTP/1.1, ASCII, and it has no body.
        """
        self._handshakes = 1
        self.conn.parser = Protocol.parse(self.conn)  # from behind the request on
        next(self.conn.parser)
        # RFC 9110 §5.5: white space around a value is none of it; httptools leaves what is behind.
        headers = [(name, value.strip(b" \t")) for name, value in headers]
        if not self.config.ws_per_message_deflate:
            self._proof = proof_for(headers)
        if self._proof is None:
            fields = [(name.decode("ascii"), value.decode("ascii")) for name, value in headers]
            self.handle_connect(Request(path.decode("ascii"), Headers(fields)))
            return
        self.handshake_initiated = True
        raw_path, _, query_string = path.partition(b"?")
        self.scope = {
            "type": "websocket",
            "asgi": {"version": self.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "root_path": self.root_path,
            "path": self.root_path + unquote(raw_path.decode("ascii")),
            "raw_path": self.root_path.encode("ascii") + raw_path,
            "query_string": query_string,
            "headers": headers,
            "subprotocols": subprotocols_of(headers),
            "state": self.app_state.copy(),
            "extensions": {"websocket.http.response": {}},
        }
        self._offer_extensions()
        self.queue.put_nowait({"type": "websocket.connect"})
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)

    def handle_connect(self, event: Request) -> None:
        """Begin with a request that the library has read."""
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the handshake was sound
            self._offer_extensions()

    def _offer_extensions(self) -> None:
        extensions: dict[object, object] = self.scope["extensions"]  # type: ignore[assignment]  # the ASGI type closes the dict
        extensions["parley.abort"] = {"abort": self._abort}
        extensions["parley.write"] = {"write": self._write, "writable": self._is_writable}
        extensions["parley.read"] = {"listen": self._listen}

    def pause_writing(self) -> None:
        """Begin to wait for the peer to read."""
        if self.writable.is_set():
            self.writable = asyncio.Event()

    def _is_writable(self) -> bool:
        return self.writable.is_set()

    def data_received(self, data: bytes) -> None:
        """Take what came, frame by frame."""
        if not self._framing:
            self._handshakes += not self.handshake_complete
            # What comes after the request, and before its answer, is the library's; it may be half
            # a frame, so that all that follows is too.
            self._framing = self.handshake_complete and self._handshakes == 1
            if not self._framing:
                super().data_received(data)
                return
        if self._rest:
            self._rest += data
            if len(self._rest) < self._rest_size:
                return
            data = bytes(self._rest)
            self._rest.clear()
        self._take_frames(data)

    def _take_frames(self, data: bytes) -> None:
        start, end = 0, len(data)
        stop = start + 2
        while stop <= end:
            size = data[start + 1] & 0x7F
            body = start + 2 + MASK_BYTES
            if size > 125:
                body += 2 if size == 126 else 8
                size = int.from_bytes(data[start + 2 : body - MASK_BYTES])
                if body > end:
                    stop = body
                    break
            stop = body + size
            whole = size + (self.conn.current_size or 0)  # with the fragments before it
            if not data[start + 1] & MASKED or whole > self.config.ws_max_size:
                self._framing = False  # the library ends the connection
                super().data_received(data[start:])
                return
            if stop > end:
                break
            conn = self.conn
            if data[start] == TEXT and conn.current_size is None and conn.state is State.OPEN:
                self._take_text(data, start, body, stop)
            else:
                super().data_received(data[start:stop])
                if conn.state is not State.OPEN:
                    self._framing = False
                    if stop < end:
                        super().data_received(data[stop:])
                    return
            start = stop
            stop = start + 2
        self._rest += data[start:]
        self._rest_size = stop - start

    def _take_text(self, data: bytes, start: int, body: int, stop: int) -> None:
        try:
            text = apply_mask(data[body:stop], data[body - MASK_BYTES : body]).decode()
        except UnicodeDecodeError:
            super().data_received(data[start:stop])
            return
        if self._listener is not None and self.queue.empty() and self._listener(text):
            return
        if not self.close_sent:  # after it, what comes is of no interest to anybody
            self.queue.put_nowait({"type": "websocket.receive", "text": text})
            self._rest_from_reading(len(text))

    def _listen(self, listener: Callable[[str], bool]) -> None:
        self._listener = listener

    def send_receive_event_to_app(self) -> None:
        """Hand over a message; go on reading while there are few."""
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self._refuse_text()
            return
        size = sum(map(len, self.frames))
        was_paused, self.read_paused = self.read_paused, True  # uvicorn's own does not pause then
        super().send_receive_event_to_app()
        self.read_paused = was_paused
        if not self.close_sent:
            self._rest_from_reading(size)

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
        if self._proof is not None and message["type"] == "websocket.accept":
            self._accept(message, self._proof)
            return
        await super().send(message)
        if message["type"] == "websocket.accept" and hasattr(self, "request"):
            # Of no use any more, and what is in the headers is in the scope as well.
            del self.request, self.response

    def _accept(self, message: WebSocketAcceptEvent, proof: str) -> None:
        if self.disconnected:
            raise ClientDisconnected
        if self.handshake_complete or self.initial_response is not None:
            raise RuntimeError("Unexpected ASGI message 'websocket.accept'")
        self.logger.info(
            '%s:%d - "WebSocket %s" [accepted]', *(self.client or ("", 0)), self.scope["path"]
        )
        if not self.transport.is_closing():
            self.handshake_complete = True
            self.conn.state = State.OPEN
            headers = [*self.default_headers, *message.get("headers", [])]
            self.transport.write(answer(proof, headers, message.get("subprotocol")))
            self.start_keepalive()

    def shutdown(self) -> None:
        """End the connection, but not one that is being closed and waits for the peer's reply.

        uvicorn would end that at once: a peer still sending gets a reset, which throws away the
        answers, and the reason of the close, that it has not read yet.
        """
        self._flush()
        if self.close_timer is None:
            super().shutdown()

    def keepalive_timeout(self) -> None:
        """End a connection whose peer has not answered a ping in time, so that it comes back.

        uvicorn closes with 1011, which is final to graphql-ws, whatever its `shouldRetry` says: a
        phone that had slept would never come back.
        """
        self.stop_keepalive()
        if not self.close_sent and not self.transport.is_closing():
            self._flush()
            self.conn.fail(CloseCode.TRY_AGAIN_LATER, "No pong: reconnect and resume")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        self._abort()

    def _refuse_text(self) -> None:
        # uvicorn's own logs an error and a traceback for each.
        self.frames = []
        if not self.close_sent:
            if self.conn.close_sent is None:  # else the peer has closed, behind its message
                self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()

    def _write(self, *parts: bytes) -> None:
        if self.close_sent or self.disconnected:
            return  # whoever reads hears of it
        if not self._unsent:
            self._outbox.add(self._flush)
        # RFC 6455 §5.2: a whole message in one frame, not masked.
        size = sum(map(len, parts))
        if size < 126:
            head = bytes((0x81, size))
        elif size < 65536:
            head = b"\x81\x7e" + size.to_bytes(2, "big")
        else:
            head = b"\x81\x7f" + size.to_bytes(8, "big")
        self._unsent += (head, *parts)

    def _flush(self) -> None:
        if self._unsent:
            unsent = b"".join(self._unsent)
            self._unsent.clear()
            if not self.transport.is_closing():
                self.transport.write(unsent)

    def _rest_from_reading(self, size: int) -> None:
        few = self.queue.qsize() <= MAX_UNREAD and size <= LARGE_MESSAGE
        if not self.read_paused and not few:
            self.read_paused = True
            self.transport.pause_reading()

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
