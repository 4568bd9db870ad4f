"""How long an HTTP connection waits for its peer: to send a head, a body, and to read."""

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from enum import Enum, auto
from functools import partial
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from server.processes.listeners import UNIX_PEER
from server.protocols.progress import Progress, ProgressWatch, TransferLimits
from server.protocols.refusals import BODY_TOO_SLOW, HEAD_TOO_SLOW, Refusal

# How long the rest of a body is read that was answered before its end: most clients look for the
# answer only when they have sent everything.
ANSWERED_BODY_SECONDS = 30.0
# How long a refused client may read its answer: a close while it sends would throw the answer away.
LINGER_SECONDS = 2.0


class Awaited(Enum):
    """What of a request the peer has to send next."""

    START = auto()
    HEADERS = auto()
    BODY = auto()


class Patience(HttpToolsProtocol):
    """Ends the connections that uvicorn would wait for.

    Neither a slow handler nor an answer that is being read, however slowly, ends one.
    """

    # From the connection, or from the first byte on a kept-alive one, to the end of the headers.
    # Nearly all clients send them in one packet; uvicorn would wait for the rest without end.
    head_seconds = 10.0
    body_limits = TransferLimits()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._awaited = Awaited.START
        self._answered: RequestResponseCycle | None = None
        self._reading: asyncio.TimerHandle | ProgressWatch | None = None  # a head, or a body
        self._writing: asyncio.TimerHandle | None = None
        self._ignoring: asyncio.TimerHandle | None = None
        self._over = False  # whether the last answer was decided on
        self._last_answer = b""  # which waits for those before it
        self._body_bytes = 0  # that have come of the body
        # What a peer's WebSocket has to answer a ping.
        self._write_seconds = (self.config.ws_ping_interval or 0) + (
            self.config.ws_ping_timeout or 0
        )

    def _forget_unfinished(self) -> None:
        """Let go of what was held for a request that is not served."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the headers."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family == socket.AF_UNIX:
            self.client = (UNIX_PEER, 0)
        self._reading = self.loop.call_later(self.head_seconds, self._look_at_head)

    def _let_go(self) -> None:
        """Break the reference cycles: a closed connection must need no garbage collector."""
        self.parser = None  # type: ignore[assignment]  # as uvicorn does, of a lost one
        self.scope = None  # type: ignore[assignment]  # its extension is a method of ours
        self.cycle = None  # type: ignore[assignment]  # it calls us at the end of its answer
        self._answered = None
        self.pipeline.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_timers()
        # uvicorn tells only the last request: the one before it would go on, and fail.
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Bound the time in which the peer reads the answer, or sends the rest of its body."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_writing()
        elif self._awaited is Awaited.BODY:
            self._ignoring = self.loop.call_later(ANSWERED_BODY_SECONDS, self._abort)

    def _wait_for_more(self) -> None:
        """Wait for the rest of a request, if one has begun."""
        if self._awaited is Awaited.BODY:
            if self._reading is None:
                give_up = partial(self._refuse, BODY_TOO_SLOW)
                self._reading = ProgressWatch(self.body_limits, self._measure_body, give_up)
        # uvicorn's keep-alive timer ends at an empty line too, and at the end of a body that was
        # answered early, although no request begins.
        elif self._reading is None and (
            self._awaited is Awaited.HEADERS or not self._is_answering()
        ):
            self._reading = self.loop.call_later(self.head_seconds, self._look_at_head)

    def pause_writing(self) -> None:
        """Begin to wait for the peer to read."""
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """Stop the wait, unless the connection is to end: then the peer has to read the rest."""
        super().resume_writing()
        if self._writing is not None and not self.transport.is_closing():
            self._writing.cancel()
            self._writing = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection, also when its last answer is never read."""
        if _waiting_bytes(self.transport, termios.FIONREAD):
            # A request has come that we were too busy to read: it must not be lost.
            self.timeout_keep_alive_task = self.loop.call_later(
                1.0, self.timeout_keep_alive_handler
            )
        else:
            self._close()

    def _look_at_head(self) -> None:
        self._reading = None
        if self._is_answering():  # to the request before: the client may well wait for it
            self._reading = self.loop.call_later(self.head_seconds, self._look_at_head)
        elif self._awaited is Awaited.HEADERS:
            self._refuse(HEAD_TOO_SLOW)
        else:
            self._close()

    def _measure_body(self) -> Progress:
        cycle = self.cycle
        paused = (
            self.flow.read_paused
            or bool(self.pipeline)
            or cycle.waiting_for_100_continue
            or (cycle.response_started and not cycle.response_complete)
        )
        return Progress(self._body_bytes, paused)

    def _is_answering(self) -> bool:
        # None before the first request, whatever its type says.
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]  # see above

    def _refuse(self, refusal: Refusal) -> None:
        """Answer the request that is coming, after all before it; then end the connection."""
        if self._over:
            return
        self._over = True
        self._stop_reading()
        self._forget_unfinished()
        if self._awaited is Awaited.BODY:
            cycle = self.cycle
            if cycle.response_started or self.pipeline:
                self._abort()
                return
            cycle.disconnected = True  # the application's answer comes too late
            cycle.waiting_for_100_continue = False  # and it asks for no more of the body
            cycle.message_event.set()
            cycle.body = bytearray()
        elif self._is_answering():
            self._last_answer = refusal.to_bytes()
            return
        self._say_last(refusal.to_bytes())

    def _say_last(self, answer: bytes) -> None:
        self._unset_keepalive_if_required()
        self._stop_ignoring()
        self.transport.write(answer)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._ignoring = self.loop.call_later(LINGER_SECONDS, self._abort)

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
        """Have the kernel throw its part away too: it would try to send it for minutes."""
        connection: socket.socket | None = self.transport.get_extra_info("socket")
        if connection is not None:
            with (
                contextlib.suppress(OSError),  # it is gone
                socket.fromfd(connection.fileno(), connection.family, connection.type) as same,
            ):
                same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _unread_bytes(self) -> int:
        """How much the peer has still to read.

        The kernel's part counts too: it can be megabytes, and makes room for ours only when a third
        of it is read, for which a slow reader takes minutes.
        """
        ours = self.transport.get_write_buffer_size()
        return ours + _waiting_bytes(self.transport, termios.TIOCOUTQ)

    def _close(self) -> None:
        """End the connection once the peer has read everything, or stops reading."""
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


def _waiting_bytes(transport: asyncio.Transport, direction: int) -> int:
    """How many bytes the kernel holds of a connection, where it tells."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is None:
        return 0
    try:
        told = fcntl.ioctl(connection.fileno(), direction, bytes(4))
    except (OSError, ValueError):  # not every system tells it of a socket; or it is closed, and -1
        return 0
    return int(struct.unpack("i", told)[0])
