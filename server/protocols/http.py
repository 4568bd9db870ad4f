"""uvicorn's HTTP protocol with bounds: on heads, on bodies, on connections; and with upgrades.

A request that is refused here is answered in its turn, and, where what follows it can be read,
the connection goes on.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from server.protocols import handshake
from server.protocols.flow import BackpressureFlow
from server.protocols.heads import CHUNK_LINE_BYTES, is_too_large, refusal_of_head
from server.protocols.patience import Awaited, Patience
from server.protocols.plain import Unchunked
from server.protocols.refusals import (
    HEAD_TOO_LARGE,
    NO_DESCRIPTORS,
    NOT_HTTP,
    TOO_MUCH_UNFINISHED,
    Refusal,
)
from server.protocols.unfinished import Unfinished
from server.protocols.visits import MAX_ON_PROBATION, Visits
from server.protocols.websocket import DirectWebSocket

logger = logging.getLogger("parley.server")

# The parser gets so many bytes at a time. The bounds on a head, and on the number of small requests
# in one packet, are exact to this many bytes.
SLICE_BYTES = 8 * 1024
PROBATION_SECONDS = 2.0
# Bytes that may wait behind a request that is being answered. While fewer wait the connection is
# read, so that a peer that leaves is noticed.
MAX_UNFED_BYTES = 64 * 1024
ALWAYS_SERVED = frozenset({b"/health", b"/ready"})
THEIR_FAULTS = (httptools.HttpParserError, UnicodeError)


class _Refused(Exception):
    """Ends the parser's work; `_found` says why."""


class ImpatientHTTP(Patience):
    """One HTTP connection. Adds the ASGI extensions `parley.abort` and `parley.body`.

    `abort` ends the connection at once. An application calls `streams` when it does not keep the
    body that it reads: then the body does not count as held in memory.
    """

    flow: BackpressureFlow
    visits: Visits
    unfinished: Unfinished
    serves_websocket: Callable[[str], bool]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.caller = ""
        self._leave: Callable[[], None] | None = None
        self._is_proxied = False
        self._probation: Refusal | None = None
        self._upgraded = False
        self._unfed = b""  # bytes that wait behind a request
        self._found: Refusal | None = None
        self._instead: Refusal | None = None  # of what the request asks for
        self._method, self._version = b"", ""
        self._overhead = 0  # bytes of this request beside its body
        self._trailers = 0
        self._streams = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Count the connection; begin to wait for the headers."""
        super().connection_made(transport)
        self.flow = BackpressureFlow(transport)
        direct = self._direct
        self._is_proxied = bool(direct) and self.visits.callers.is_proxy(direct)
        if direct and not self._is_proxied:
            self.caller = self.visits.callers.find_client(direct, ())
        connection = transport.get_extra_info("socket")
        descriptor = 0 if connection is None else connection.fileno()
        refusal = self.visits.refusal_of(descriptor, self.caller)
        if refusal is None:
            if self.caller:
                self._leave = self.visits.callers.count(self.caller)
        elif self.visits.on_probation < MAX_ON_PROBATION and not self.visits.descriptors.is_out(
            descriptor
        ):
            self.visits.on_probation += 1
            self._probation = refusal
            self._stop_reading()
            self._reading = self.loop.call_later(PROBATION_SECONDS, self._close)
        elif refusal is NO_DESCRIPTORS:
            self._over = True
            transport.write(refusal.to_bytes())
            transport.close()
        else:
            self._refuse(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection off."""
        if self._leave is not None:
            self._leave()
        if self._probation is not None:
            self.visits.on_probation -= 1
        self.visits.wake(self)
        self.unfinished.release(self)
        super().connection_lost(exc)
        self._let_go()

    @property
    def _direct(self) -> str:
        return self.client[0] if self.client else ""

    def data_received(self, data: bytes) -> None:
        """Read what came; wait for the rest of the request, if there is one."""
        if self._over:
            return  # thrown away: a refused peer may still be sending
        self._unset_keepalive_if_required()
        self.visits.wake(self)
        if self._unfed or self.pipeline:
            self._unfed += data
            if len(self._unfed) > MAX_UNFED_BYTES:
                self.flow.block()
            return
        self._feed(data)
        self._settle()

    def _settle(self) -> None:
        if self._upgraded or self._over:
            return
        if self._awaited is Awaited.BODY and not (self._streams or self.cycle.response_complete):
            self.unfinished.hold(self, self._body_bytes)
        elif self._awaited is Awaited.HEADERS:
            self.unfinished.hold(self, self._overhead)
        else:
            self.unfinished.release(self)
        if not self._over:
            self._wait_for_more()

    def _feed(self, data: bytes) -> None:
        start = 0
        while start < len(data) and not (self._upgraded or self._over):
            if self.pipeline:
                self._unfed = data[start:]
                return
            part = data[start : start + SLICE_BYTES]
            self._overhead += len(part)
            try:
                self.parser.feed_data(part)
                start += len(part)
            except httptools.HttpParserUpgrade as upgrade:
                self._overhead -= len(part) - upgrade.args[0]
                start += upgrade.args[0]
                self._answer_upgrade(data[start:])
            except httptools.HttpParserError as error:
                self._refuse_unparsed(error)
            self._check_overhead()

    def _check_overhead(self) -> None:
        lines = max(self._trailers, len(self.headers or ()))
        if not self._upgraded and is_too_large(self._overhead, lines):
            self._refuse(HEAD_TOO_LARGE)

    # What the parser finds.

    def on_message_begin(self) -> None:
        """Offer the extensions to the application."""
        super().on_message_begin()
        self._awaited = Awaited.HEADERS
        self._body_bytes = self._trailers = 0
        self._streams = False
        self.scope["extensions"] = {
            "parley.abort": {"abort": self._abort},
            "parley.body": {"streams": self._stream},
        }

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; count a trailer, which comes this way too and which nothing here uses."""
        if self._awaited is Awaited.BODY:
            self._trailers += 1
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Hand the request to the application, unless its head is refused."""
        self._method = self.parser.get_method()
        self._version = self.parser.get_http_version()
        self._found = refusal_of_head(
            self._method, self.url, self.headers, version=self._version, size=self._overhead
        )
        if self._found is not None:
            raise _Refused
        if self.parser.should_upgrade():
            return  # the parser stops behind it; `_answer_upgrade` goes on
        if self._version == "1.0":
            self.expect_100_continue = False  # RFC 9110 §10.1.1: it knows nothing of it
        instead, self._instead = self._instead, None
        served = self.app
        try:
            self.app = instead or self._refusal_of_request() or served
            super().on_headers_complete()
        finally:
            self.app = served
        if self._probation is not None:
            self.cycle.keep_alive = False
        self._awaited = Awaited.BODY
        self._stop_reading()

    def on_body(self, body: bytes) -> None:
        """Count the body apart from the head."""
        self._overhead -= len(body)
        self._body_bytes += len(body)
        super().on_body(body)

    def on_chunk_header(self) -> None:
        """Count a chunk's line as part of the head only where it is longer than it needs to be."""
        self._overhead = max(0, self._overhead - CHUNK_LINE_BYTES)

    def on_message_complete(self) -> None:
        """Wait for nothing: it is the application's turn."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._awaited = Awaited.START
        self._overhead = 0
        self._stop_reading()
        self._stop_ignoring()

    def _forget_unfinished(self) -> None:
        self._unfed = b""
        self.flow.unblock()
        self.unfinished.release(self)

    def _stream(self) -> None:
        self._streams = True
        self.unfinished.release(self)

    # Upgrades.

    def _path(self) -> bytes:
        return self.url.partition(b"?")[0]

    def _is_for_websocket(self) -> bool:
        path = unquote_to_bytes(httptools.parse_url(self.url).path or b"/")
        return self._method == b"GET" and self.serves_websocket(path.decode("latin-1"))

    def _refusal_of_request(self) -> Refusal | None:
        if self._probation is not None and self._path() not in ALWAYS_SERVED:
            return self._probation
        if handshake.is_stripped(self.headers) and self._is_for_websocket():
            return handshake.HTTP_1_0 if self._version == "1.0" else handshake.NO_UPGRADE
        return None

    def _answer_upgrade(self, rest: bytes) -> None:
        """Become a WebSocket; or serve the request as if it did not ask for an upgrade."""
        try:
            if handshake.asks_for_websocket(self.headers) and self._is_for_websocket():
                self._instead = self._refusal_of_websocket()
                if self._instead is None:
                    self._become_websocket(rest)
                    return
            # This parser has stopped behind the head. A new one reads the head again, without the
            # upgrade, then the body, and whatever follows.
            head = [b"%s %s HTTP/%s" % (self._method, self.url, self._version.encode())]
            head += [b"%s: %s" % header for header in handshake.without_upgrade(self.headers)]
            self._renew_parser()
            self.parser.feed_data(b"\r\n".join([*head, b"", b""]))
        except httptools.HttpParserError as error:
            self._refuse_unparsed(error)

    def _renew_parser(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        # As uvicorn has it: what is pipelined behind `Connection: close` is no error.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _refusal_of_websocket(self) -> Refusal | None:
        if self._version != "1.1":
            return handshake.HTTP_1_0
        if self._is_answering():
            return handshake.BEHIND_ANOTHER
        refusal = self._probation or handshake.refusal_of_handshake(self.headers)
        if refusal is None and self._is_proxied:
            refusal = self._count_forwarded(self.headers)
        return refusal

    def _become_websocket(self, rest: bytes) -> None:
        self._upgraded = True
        self._stop_timers()
        self.unfinished.release(self)
        self.connections.discard(self)
        protocol = self.ws_protocol_class(  # type: ignore[call-arg, misc]  # as uvicorn has it
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        assert isinstance(protocol, DirectWebSocket)  # noqa: S101  # `run` says so
        protocol.caller, protocol.leave, self._leave = self.caller, self._leave, None
        protocol.unfinished = self.unfinished
        protocol.connection_made(self.transport)
        protocol.client = self.client
        self.transport.set_protocol(protocol)
        self._let_go()
        protocol.begin(self.url, self.headers, rest, refused=self._resume_http)

    def _resume_http(self, answer: bytes, leave: Callable[[], None] | None, rest: bytes) -> None:
        """Go on with HTTP: the application did not want the WebSocket, and this is its answer."""
        self._upgraded = False
        self._leave = leave
        self.connections.add(self)
        self.transport.set_protocol(self)
        self.transport.write(answer)
        self._awaited, self._overhead = Awaited.START, 0
        self._renew_parser()
        self._leave_request()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )
        self.visits.rest(self)
        if rest:
            self.data_received(rest)

    # Answers.

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        serve: Any = app
        if self._is_proxied:
            serve = self._count_forwarded(cycle.scope["headers"]) or serve
        if cycle.scope["http_version"] == "1.0":
            serve = Unchunked(serve, cycle)
        super()._start_asgi_task(cycle, serve)

    def _count_forwarded(self, headers: Any) -> Refusal | None:
        """Count the request for whom a proxy sent it, unless it is the proxy's own."""
        callers = self.visits.callers
        forwarded = [value for name, value in headers if name == b"x-forwarded-for"]
        address = callers.find_client(self._direct, forwarded)
        if not forwarded or address == callers.find_client(self._direct, ()):
            return None
        refusal = self.visits.refusal_of_caller(address)
        if refusal is None:
            self.caller, self._leave = address, callers.count(address)
        return refusal

    def _leave_request(self) -> None:
        if self._is_proxied and self._leave is not None:
            self._leave()
            self.caller, self._leave = "", None

    def on_response_complete(self) -> None:
        """Go on with what waits behind the request."""
        self._leave_request()
        super().on_response_complete()
        if self._awaited is Awaited.BODY:
            self.unfinished.release(self)
        if self.transport.is_closing() or self.pipeline:
            return
        if self._last_answer:
            self._say_last(self._last_answer)
        elif self._unfed:
            self._unset_keepalive_if_required()
            data, self._unfed = self._unfed, b""
            self._feed(data)
            if len(self._unfed) <= MAX_UNFED_BYTES:
                self.flow.unblock()
            self._settle()
        elif self._awaited is Awaited.START:
            self.visits.rest(self)

    def make_room(self) -> None:
        """End the connection, which is idle."""
        self._close()

    def give_up(self) -> None:
        """End the connection: the memory of its unfinished request is needed for others."""
        self._refuse(TOO_MUCH_UNFINISHED)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(NOT_HTTP)

    def _refuse_unparsed(self, error: httptools.HttpParserError) -> None:
        found, self._found = self._found, None
        cause = error.__context__
        # A target that cannot be read is the client's fault; anything else would be ours.
        is_callback = isinstance(error, httptools.HttpParserCallbackError)
        if found is None and is_callback and not isinstance(cause, THEIR_FAULTS):
            logger.error("A request could not be taken", exc_info=cause)
        self._refuse(found or NOT_HTTP)
