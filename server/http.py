"""uvicorn's HTTP protocol, able to end a connection whose peer does not go on."""

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from enum import Enum, auto
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from server.headers import DEFAULTS
from server.websocket import DirectWebSocket

# How often in that time we look: it must not count while we ourselves do not read.
BODY_LOOKS = 4
# A body that was answered before its end is read on, since most clients look for the answer only
# then; but not for ever.
ANSWERED_BODY_SECONDS = 30.0

# A handshake with more, or with longer ones, is left to the WebSocket's library to judge.
MAX_PLAIN_HEADERS = 64
MAX_PLAIN_VALUE = 4096
BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})


class Awaited(Enum):
    """What of a request the peer has to send next."""

    START = auto()
    HEADERS = auto()
    BODY = auto()


class ImpatientHTTP(HttpToolsProtocol):
    """Ends the connections that uvicorn would wait for, and adds the extension `parley.abort`.

    Neither a slow handler nor an answer that is being read, however slowly, ends one.
    """

    # uvicorn waits without end for a request that was begun; each such connection costs a
    # descriptor. From the connection, or the first byte on a kept-alive one, to the end of the
    # headers: one packet for nearly all, and dripping them byte by byte gains nothing.
    head_seconds = 10.0
    # A body may take as long as it likes while it goes on: uploads over a bad line pause.
    body_seconds = 20.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._awaited = Awaited.START
        self._upgraded = False
        self._answered: RequestResponseCycle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._ignoring: asyncio.TimerHandle | None = None
        self._idle_looks = 0
        # What a peer's WebSocket has to answer a ping.
        self._write_seconds = (self.config.ws_ping_interval or 0) + (
            self.config.ws_ping_timeout or 0
        )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the headers."""
        super().connection_made(transport)
        self._reading = self.loop.call_later(self.head_seconds, self._look_at_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_timers()
        # uvicorn tells only the request that came last: the one before it would go on, and fail.
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)
        self._let_go()

    def data_received(self, data: bytes) -> None:
        """Take what came; wait for the rest of the request, if there is one."""
        super().data_received(data)
        if self._upgraded:
            return
        if self.transport.is_closing():  # it was no HTTP
            self._watch_writing()
        elif self._awaited is Awaited.BODY:
            self._idle_looks = 0
            if self._reading is None:
                self._reading = self.loop.call_later(
                    self.body_seconds / BODY_LOOKS, self._look_at_body
                )
        # An empty line, or the end of a body that was answered early, ends uvicorn's keep-alive
        # timer although no request begins.
        elif self._reading is None and (
            self._awaited is Awaited.HEADERS or not self._is_answering()
        ):
            self._reading = self.loop.call_later(self.head_seconds, self._look_at_head)

    def on_message_begin(self) -> None:
        """Offer the extension to the application."""
        super().on_message_begin()
        self._awaited = Awaited.HEADERS
        self.scope["extensions"] = {"parley.abort": {"abort": self._abort}}

    def on_headers_complete(self) -> None:
        """Wait for the body."""
        super().on_headers_complete()
        self._awaited = Awaited.BODY
        self._stop_reading()

    def on_message_complete(self) -> None:
        """Wait for nothing: it is the application's turn."""
        super().on_message_complete()
        self._awaited = Awaited.START
        self._stop_reading()
        self._stop_ignoring()

    def on_response_complete(self) -> None:
        """Where the connection is to end now, or its peer to send no more, see that it does."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_writing()
        elif self._awaited is Awaited.BODY:
            self._ignoring = self.loop.call_later(ANSWERED_BODY_SECONDS, self._abort)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, with the headers of every answer."""
        head = b"".join(b"%s: %s\r\n" % header for header in DEFAULTS)
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\n%scontent-type: text/plain; charset=utf-8\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%s"
            % (head, len(msg), msg.encode("ascii"))
        )
        self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to the WebSocket's protocol, which has time limits of its own."""
        self._upgraded = True
        self._stop_timers()
        if not self._is_plain_handshake():
            super().handle_websocket_upgrade()  # its library reads it anew, and says what is wrong
            self._let_go()
            return
        self.connections.discard(self)
        protocol = self.ws_protocol_class(  # type: ignore[call-arg, misc]  # as uvicorn has it
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        assert isinstance(protocol, DirectWebSocket)  # noqa: S101  # `run` says so
        protocol.connection_made(self.transport)
        protocol.take_handshake(self.url, self.headers)
        self.transport.set_protocol(protocol)
        self._let_go()

    def _let_go(self) -> None:
        """Refer to nothing that refers to this: a closed connection must need no collector."""
        self.parser = None  # type: ignore[assignment]  # as uvicorn does, of a lost one
        self.scope = None  # type: ignore[assignment]  # its extension is a method of ours
        self.cycle = None  # type: ignore[assignment]  # it calls us at the end of its answer
        self._answered = None
        self.pipeline.clear()

    def _is_plain_handshake(self) -> bool:
        """Whether the WebSocket's library would find nothing to say about how it is written."""
        if self.scope["method"] != "GET" or self.scope["http_version"] != "1.1":
            return False
        if not self.url.isascii() or len(self.url) > MAX_PLAIN_VALUE:
            return False
        if len(self.headers) > MAX_PLAIN_HEADERS:
            return False
        return all(
            value.isascii() and len(value) <= MAX_PLAIN_VALUE and name not in BODY_HEADERS
            for name, value in self.headers
        )

    def pause_writing(self) -> None:
        """Begin to wait for the peer to read."""
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """The peer has read; where the connection is to end, it has to read the rest too."""
        super().resume_writing()
        if self._writing is not None and not self.transport.is_closing():
            self._writing.cancel()
            self._writing = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection, also when its last answer is never read."""
        self._close()

    def _look_at_head(self) -> None:
        self._reading = None
        if self._is_answering():  # to the request before: the client may well wait for it
            self._reading = self.loop.call_later(self.head_seconds, self._look_at_head)
        else:
            self._close()

    def _look_at_body(self) -> None:
        cycle = self.cycle
        ours = (
            self.flow.read_paused
            or bool(self.pipeline)
            or cycle.waiting_for_100_continue
            or (cycle.response_started and not cycle.response_complete)
        )
        self._idle_looks = 0 if ours else self._idle_looks + 1
        if self._idle_looks >= BODY_LOOKS:
            self._reading = None
            self._abort()
        else:
            self._reading = self.loop.call_later(self.body_seconds / BODY_LOOKS, self._look_at_body)

    def _is_answering(self) -> bool:
        # None before the first request, whatever its type says.
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]  # see above

    def _watch_writing(self) -> None:
        if self._writing is None and self.transport.get_write_buffer_size():
            self._writing = self.loop.call_later(
                self._write_seconds, self._look_at_writing, self._unread_bytes()
            )

    def _look_at_writing(self, before: int) -> None:
        self._writing = None
        if self._unread_bytes() < before:
            self._watch_writing()
        else:
            self._forget_unsent()
            self._abort()

    def _forget_unsent(self) -> None:
        """Have the kernel throw away its part too: it would go on offering it for minutes."""
        connection: socket.socket | None = self.transport.get_extra_info("socket")
        if connection is not None:
            with (
                contextlib.suppress(OSError),  # it is gone
                socket.fromfd(connection.fileno(), connection.family, connection.type) as same,
            ):
                same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _unread_bytes(self) -> int:
        """What waits for the peer, the kernel's part too: that can be megabytes, and only a third
        of it at a time makes room for ours, which takes a slow reader minutes.
        """
        ours = self.transport.get_write_buffer_size()
        connection: socket.socket | None = self.transport.get_extra_info("socket")
        if connection is None:
            return ours
        try:
            told = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:  # not every system tells it of a socket
            return ours
        return ours + int(struct.unpack("i", told)[0])

    def _close(self) -> None:
        """End the connection when the peer has read what there is, or stops to."""
        if not self.transport.is_closing():
            self.transport.close()
        self._watch_writing()

    def _abort(self) -> None:
        self.transport.abort()

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _stop_ignoring(self) -> None:
        if self._ignoring is not None:
            self._ignoring.cancel()
            self._ignoring = None

    def _stop_timers(self) -> None:
        self._stop_reading()
        self._stop_ignoring()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None


def protocol_with(*, head_seconds: float, body_seconds: float) -> type[ImpatientHTTP]:
    """Return the protocol with these times: uvicorn makes one for each connection by itself."""
    times = {"head_seconds": head_seconds, "body_seconds": body_seconds}
    return type("TimedHTTP", (ImpatientHTTP,), times)
