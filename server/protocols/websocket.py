"""uvicorn's WebSocket protocol, able to end a connection whose peer does not read.

And able to be read and written without a task, a wait and a system call for each message.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn._types import ASGISendEvent
from websockets.frames import CloseCode, apply_mask  # type: ignore[attr-defined]  # it is in C, mostly
from websockets.protocol import State

from server.protocols.inbox import Inbox
from server.protocols.opening import Opening
from server.protocols.progress import Progress, ProgressWatch, TransferLimits
from server.protocols.turns import flusher_of, going_of
from server.protocols.unfinished import Unfinished

# uvicorn pauses and resumes reading for each message, which takes two system calls. Here reading
# goes on while few messages wait for the application.
MAX_UNREAD = 16
LARGE_MESSAGE = 16 * 1024
# RFC 6455 §5.2: a whole text message; the bit that says that a mask follows; its length.
TEXT = 0x81
MASKED = 0x80
MASK_BYTES = 4

# Bytes that may come behind a handshake before its answer: proper clients wait for the answer.
MAX_EARLY_BYTES = 64 * 1024
# What a fragment costs beside its bytes.
FRAGMENT_BYTES = 64
# For so long after a connection was given up, what its peer still sends is thrown away.
GIVEN_UP_SECONDS = 1.0
# Shared by all connections that may be written to: an event of its own takes a kilobyte.
_WRITABLE = asyncio.Event()
_WRITABLE.set()


class DirectWebSocket(Opening):
    """Adds the ASGI extensions `parley.abort`, `parley.write` and `parley.read`.

    uvicorn closes a connection with `transport.close()`, which waits for its buffer to drain: that
    of a peer that has stopped reading never does. `abort` does not wait.

    `write` sends a text message, given in UTF-8 (in parts, if that saves a copy), after whatever
    was sent before; messages of one turn of the loop and the next go out together: what a commit
    announces, and the answer to who asked for it. It never waits: while `writable()` is False,
    use the ASGI message, which does.

    `write_frames` sends many messages as one piece that can be made once for many peers: whole
    frames, each message behind its `head(size)`. `wait` waits until the peer has read.

    `listen` takes a function. It is called with each text message as it arrives, while no earlier
    one waits to be received; when it returns False, the message is to be received as usual.

    Nearly all messages are text in one frame. Those are read here: the library takes four times as
    long. Every other frame goes to the library, whole.
    """

    caller = ""
    unfinished: Unfinished
    message_limits = TransferLimits()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.queue = Inbox()  # type: ignore[assignment]  # what uvicorn asks of it
        self.writable = _WRITABLE
        self._unsent: list[bytes] = []
        self._flusher = flusher_of(self.loop)
        self._listener: Callable[[str], bool] | None = None
        self._framing = False
        self._given_up = False
        self._rest = bytearray()  # a frame that has not come whole
        self._rest_size = 0  # how long it will be, as far as that is known
        self._watch: ProgressWatch | None = None  # of a message that has not come whole

    def _offer_extensions(self) -> None:
        extensions: dict[object, object] = self.scope["extensions"]  # type: ignore[assignment]  # the ASGI type closes the dict
        extensions["parley.abort"] = {"abort": self._abort}
        extensions["parley.write"] = {
            "write": self._write,
            "writable": self._is_writable,
            "head": frame_head,
            "write_frames": self._write_frames,
            "wait": self._wait_until_writable,
        }
        extensions["parley.read"] = {"listen": self._listen}

    def pause_writing(self) -> None:
        """Begin to wait for the peer to read."""
        if self.writable.is_set():
            self.writable = asyncio.Event()

    def _is_writable(self) -> bool:
        return self.writable.is_set()

    def data_received(self, data: bytes) -> None:
        """Read what came, frame by frame."""
        if self._given_up:
            return
        if not self._framing:
            if self.handshake_complete:
                super().data_received(data)  # the connection is ending
                return
            self._early += data
            if len(self._early) > MAX_EARLY_BYTES:
                self._pause_reading()
            return
        if self._rest:
            self._rest += data
            if len(self._rest) < self._rest_size:
                self._hold()
                return
            data = bytes(self._rest)
            self._rest.clear()
        self._read_frames(data)
        if self._rest or self.conn.current_size is not None or self._watch is not None:
            self._hold()

    def _hold(self) -> None:
        """Count what is held of a message that has not come whole, and bound its time."""
        if not self._framing or not (self._rest or self.conn.current_size is not None):
            self._release()
            return
        if self._watch is None:
            self._watch = ProgressWatch(self.message_limits, self._measure, self.give_up)
        self.unfinished.hold(self, self._measure().size)

    def _measure(self) -> Progress:
        fragments = (self.conn.current_size or 0) + FRAGMENT_BYTES * len(self.frames)
        return Progress(len(self._rest) + fragments, self.read_paused)

    def _release(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
            self.unfinished.release(self)

    def give_up(self) -> None:
        """End the connection: its unfinished message takes too long, or memory that others need.

        Clients reconnect after 1013. What still comes is thrown away for a moment: closed with
        something unread, the connection would be reset, and the peer would not read the reason.
        """
        self._release()
        self._framing = False
        self.frames = []
        self._rest.clear()
        if self.close_sent or self.conn.state is not State.OPEN:
            self._abort()
            return
        code, reason = CloseCode.TRY_AGAIN_LATER, "Send the message again, in one go"
        self._flush()
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self._given_up = True
        self.stop_keepalive()
        self.conn.parser.close()  # it keeps the last frame that it read, a megabyte perhaps
        self.conn.reader.buffer = bytearray()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._resume_reading()
        self.close_timer = self.loop.call_later(GIVEN_UP_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection off, and break the reference cycles.

        A closed connection must need no garbage collector: its parser keeps the last frame.
        """
        self._release()
        self.stop_keepalive()
        if self.leave is not None:
            self.leave()
        self.disconnected = True  # nothing is sent from here on
        self._listener = None
        going_of(self.loop).add(partial(self._tell_lost, exc))

    def _tell_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if hasattr(self, "scope"):
            self.scope["extensions"] = {}
        self.conn.parser.close()
        self._rest.clear()
        self.frames = []

    def _read_frames(self, data: bytes) -> None:
        start, end = 0, len(data)
        stop = start + 2
        while stop <= end:
            size = data[start + 1] & 0x7F
            body = start + 2 + MASK_BYTES
            if size > 125:
                body += 2 if size == 126 else 8
                size = int.from_bytes(data[start + 2 : body - MASK_BYTES])
                if body > end and data[start + 1] & MASKED:  # without a mask it is refused now
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
                self._read_text(data, start, body, stop)
            else:
                super().data_received(data[start:stop])
                if size > LARGE_MESSAGE and not conn.reader.buffer:
                    conn.reader.buffer = bytearray()  # an emptied one keeps its memory
                if conn.state is not State.OPEN:
                    self._framing = False
                    if stop < end:
                        super().data_received(data[stop:])
                    return
            start = stop
            stop = start + 2
        self._rest += data[start:]
        self._rest_size = stop - start

    def _read_text(self, data: bytes, start: int, body: int, stop: int) -> None:
        try:
            text = apply_mask(data[body:stop], data[body - MASK_BYTES : body]).decode()
        except UnicodeDecodeError:
            super().data_received(data[start:stop])
            return
        if self._watch is not None:
            self._release()
        if self._listener is not None and self.queue.empty() and self._listener(text):
            return
        if not self.close_sent:  # after it, what comes is of no interest to anybody
            self.queue.put_nowait({"type": "websocket.receive", "text": text})
            self._rest_from_reading(len(text))

    def _listen(self, listener: Callable[[str], bool]) -> None:
        self._listener = listener

    def send_receive_event_to_app(self) -> None:
        """Hand over a message; go on reading while there are few."""
        if self._watch is not None:
            self._release()
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
        if not self.writable.is_set():
            self._pause_reading()

    def resume_writing(self) -> None:
        """Read on as well, unless what came already waits."""
        super().resume_writing()
        if self.queue.empty():
            self._resume_reading()

    async def send(self, message: ASGISendEvent) -> None:
        """Send what was written before it, then the message."""
        await self.writable.wait()
        self._flush()
        await super().send(message)

    def _begin_frames(self) -> None:
        """Take frames: the handshake was accepted."""
        self._framing = True
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    def shutdown(self) -> None:
        """End the connection, but not one that is being closed and waits for the peer's reply.

        uvicorn would end that at once: a peer still sending gets a reset, which throws away the
        answers, and the reason of the close, that it has not read yet.
        """
        if self.disconnected:
            return  # the application is about to hear of it
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
            self._flusher.add(self._flush)
        self._unsent += (frame_head(sum(map(len, parts))), *parts)

    def _write_frames(self, frames: bytes) -> None:
        if not (self.close_sent or self.disconnected or self.transport.is_closing()):
            self._flush()
            self.transport.write(frames)

    async def _wait_until_writable(self) -> None:
        await self.writable.wait()

    def _flush(self) -> None:
        if self._unsent:
            unsent = b"".join(self._unsent)
            self._unsent.clear()
            if not self.transport.is_closing():
                self.transport.write(unsent)

    def _rest_from_reading(self, size: int) -> None:
        if self.queue.qsize() > MAX_UNREAD or size > LARGE_MESSAGE:
            self._pause_reading()

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


def frame_head(size: int) -> bytes:
    """Return what comes before a text message of this size (RFC 6455 §5.2): one frame, no mask."""
    if size < 126:
        return bytes((TEXT, size))
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


def _is_utf8(parts: list[bytes]) -> bool:
    if all(map(bytes.isascii, parts)):
        return True
    try:
        b"".join(parts).decode()
    except UnicodeDecodeError:
        return False
    return True
