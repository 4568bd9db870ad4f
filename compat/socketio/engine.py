"""The Engine.IO 4 server: its HTTP and websocket doors in front of many connections."""

import asyncio
import contextlib
import gzip
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import engineio
import msgspec
from starlette.datastructures import Headers, QueryParams
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from compat.socketio.connection import CLOSE_GRACE, LINGER, Connection
from compat.socketio.endings import REFUSED, Ending
from compat.socketio.packets import BadPacket, EncodedEvent, Frame, encode_payload
from compat.socketio.polling import Polling
from compat.socketio.transports import Direct, forget_request
from compat.socketio.websocket import Websocket

logger = logging.getLogger(__name__)

# The bodies that the Node server answers with; clients show them.
_UNKNOWN_TRANSPORT = (400, 0, "Transport unknown")
_UNKNOWN_SESSION = (400, 1, "Session ID unknown")
_BAD_METHOD = (400, 2, "Bad handshake method")
_BAD_REQUEST = (400, 3, "Bad request")
_FOREIGN_ORIGIN = (403, 4, "Forbidden")
_BAD_VERSION = (400, 5, "Unsupported protocol version")
_DRAINING = (503, 3, "Server is restarting")
_TOO_MANY = (429, 3, "Too many connections from this address")

MAX_QUERY = 2048  # bytes of an address: ours have a hundred
_MOVED = "moved"  # a parameter of requests that were sent to another process already

_COMPRESS_FROM = 1024  # bytes; below, gzip costs more than it saves
_NO_STORE = {"Cache-Control": "no-store"}


class EngineServer(engineio.AsyncServer):  # type: ignore[misc]  # the library has no types
    """python-engineio's server with our connections, and an answer for every request.

    Kept from it: handlers, sessions, ids, `transport`. `handle_request` is anew because the
    library's lets bad requests through as unhandled exceptions, or answers them 200.
    """

    sockets: dict[str, Connection]

    def __init__(
        self,
        *,
        origins: Sequence[str],
        ping_interval: float,
        ping_timeout: float,
        max_payload: int,
        queue_messages: int,
        queue_bytes: int,
        send_timeout: float,
        process: str = "",
        async_handlers: bool,
    ) -> None:
        library_logger = logging.getLogger("engineio.server")
        super().__init__(
            async_mode="asgi",
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            max_http_buffer_size=max_payload,
            async_handlers=async_handlers,
            # Each connection has its own timer; the library's round over all of them is late.
            monitor_clients=False,
            logger=library_logger,  # with False it would add a handler of its own to the logger
        )
        self.origins = frozenset(origins)
        self.max_payload = max_payload
        self.queue_messages = queue_messages
        self.queue_bytes = queue_bytes
        self.send_timeout = send_timeout
        self.draining = False
        self.process = process
        self._farewells: set[asyncio.Task[None]] = set()
        # Whether another connection may be opened from there; to count it, and to count it off.
        self.has_room: Callable[[Scope], bool] = lambda scope: True
        self.count: Callable[[Scope], Callable[[], None]] = lambda scope: lambda: None

    # What a connection asks of its server.

    async def on_message(self, connection: Connection, data: Frame) -> None:
        """Not by the library's `_trigger_event`: that logs a `BadPacket` and goes on."""
        await self.handlers["message"](connection.sid, data)

    def take_now(self, connection: Connection, data: str) -> bool:
        """Whether the message could be taken at once; replaced by who can."""
        return False

    def on_end(self, connection: Connection, ending: Ending) -> None:
        task = asyncio.create_task(self._farewell(connection, ending))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _farewell(self, connection: Connection, ending: Ending) -> None:
        try:
            await self.handlers["disconnect"](connection.sid, ending.reason)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    await connection.over.wait()
        finally:
            connection.closed = True
            connection.empty()
            self.sockets.pop(connection.sid, None)
            if connection.count_off is not None:
                connection.count_off()
                connection.count_off = None
            # It refers to the connection: a closed one must need no collector.
            connection.transport = connection.direct = None

    # The rest of the library's interface that touches a socket.

    async def send_packet(self, sid: str, pkt: Any) -> None:
        if sid in self.sockets:
            self.sockets[sid].push(EncodedEvent.of(pkt.encode()))

    async def disconnect(self, sid: str | None = None) -> None:
        for connection in [*self.sockets.values()] if sid is None else [self.sockets.get(sid)]:
            if connection is not None:
                connection.end(REFUSED)

    async def end_all(self, ending: Ending) -> None:
        """End every connection, and wait (not for long) until the clients are told."""
        for connection in list(self.sockets.values()):
            connection.end(ending)
        if self._farewells:
            await asyncio.wait(self._farewells, timeout=CLOSE_GRACE + 1)

    # The doors.

    def handle_request(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """The ASGI application."""
        # No frame of its own: an idle websocket would keep it.
        serve = self._serve_websocket if scope["type"] == "websocket" else self._serve_http
        return serve(scope, receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = QueryParams(scope["query_string"][:MAX_QUERY])
        connection = self._find(query)
        refusal = self._refusal(scope, query, connection)
        if refusal is _UNKNOWN_SESSION and self._is_elsewhere(scope, query):
            answer: Response = _again(scope)
            await answer(scope, receive, send)
            return
        if refusal is not None:
            status, code, message = refusal
            headers = {"Retry-After": "10"} if status == 429 else None
            answer = JSONResponse({"code": code, "message": message}, status, headers)
        elif connection is None:
            polling = Polling(self._add(scope))
            await self._open(polling, scope)
            answer = _payload(polling.take_payload())
        else:
            transport = connection.transport
            assert isinstance(transport, Polling)  # noqa: S101  # or it would have been refused
            if scope["method"] == "GET":
                answer = await self._poll(transport, scope, receive)
            else:
                answer = await self._post(transport, receive)
        if self.process:
            # The next request may be another session's, whose process only a new connection finds.
            answer.headers["Connection"] = "close"
        await answer(scope, receive, send)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What is only for the beginning is over, and forgotten, when the carrying begins.
        websocket = await self._accept(scope, receive, send)
        if websocket is not None:
            await websocket.carry(receive)

    async def _accept(self, scope: Scope, receive: Receive, send: Send) -> Websocket | None:
        """Let a new connection in, or one that moves from polling; None for neither."""
        await receive()  # websocket.connect
        query = QueryParams(scope["query_string"][:MAX_QUERY])
        connection = self._find(query)
        if self._refusal(scope, query, connection) is not None:
            # 403: uvicorn logs an error for each refusal that has a status of its own.
            await send({"type": "websocket.close"})
            return None
        await send({"type": "websocket.accept"})
        if connection is None:
            connection = self._add(scope)
            websocket = Websocket(connection, send, _abort(scope), _direct(scope))
            websocket.take_over()
            await self._open(websocket, scope)
            return websocket
        polling = connection.transport
        if isinstance(polling, Polling) and await polling.upgrade(receive, send):
            websocket = Websocket(connection, send, _abort(scope), _direct(scope))
            websocket.take_over()
            forget_request(scope)
            return websocket
        with contextlib.suppress(OSError, RuntimeError):
            await send({"type": "websocket.close"})
        return None

    def _find(self, query: QueryParams) -> Connection | None:
        """Return the session that a request names, unless it has ended and nobody is to be told."""
        connection = self.sockets.get(query.get("sid", ""))
        if connection is not None:
            connection.look()
            if connection.ending is not None and connection.ending.told:
                return None
        return connection

    def _is_elsewhere(self, scope: Scope, query: QueryParams) -> bool:
        """Whether another process may hold the session, and was not asked for it yet.

        A connection stays with the process that it was handed to. A browser that opened it for
        something else may use it for a session of another's (docs/decisions/0007).
        """
        holder = query["sid"].partition(".")[0]
        known = self.process and holder != self.process
        return bool(known and scope["type"] == "http" and _MOVED not in query)

    def _refusal(
        self, scope: Scope, query: QueryParams, connection: Connection | None
    ) -> tuple[int, int, str] | None:
        websocket = scope["type"] == "websocket"
        method = "GET" if websocket else scope["method"]
        if query.get("transport") != ("websocket" if websocket else "polling"):
            return _UNKNOWN_TRANSPORT
        if self._is_foreign(Headers(scope=scope)):
            return _FOREIGN_ORIGIN
        if connection is None:
            if "sid" in query:
                return _UNKNOWN_SESSION
            if query.get("EIO") != "4":
                return _BAD_VERSION
            if method != "GET":
                return _BAD_METHOD
            if not self.has_room(scope):
                return _TOO_MANY
            return _DRAINING if self.draining else None
        # Not on the transport that the connection uses, or not a method of polling.
        return _BAD_REQUEST if connection.upgraded or method not in ("GET", "POST") else None

    def _is_foreign(self, headers: Headers) -> bool:
        """Browsers do not ask before they open a websocket to another site, so we look."""
        origin = headers.get("origin")
        if origin is None or "*" in self.origins or origin in self.origins:
            return False
        return origin.partition("://")[2] != headers.get("host")

    def _add(self, scope: Scope) -> Connection:
        sid = self.generate_id()
        if self.process:
            sid = f"{self.process}.{sid}"
        connection = self.sockets[sid] = Connection(self, sid)
        connection.count_off = self.count(scope)
        return connection

    async def _open(self, transport: Polling | Websocket, scope: Scope) -> None:
        connection = transport.connection
        opening = {
            "sid": connection.sid,
            "upgrades": ["websocket"] if isinstance(transport, Polling) else [],
            "pingInterval": int(self.ping_interval * 1000),
            "pingTimeout": int(self.ping_timeout * 1000),
            "maxPayload": self.max_payload,
        }
        connection.push(EncodedEvent.of("0" + msgspec.json.encode(opening).decode()))
        await self.handlers["connect"](connection.sid, _environ(scope))

    async def _poll(self, polling: Polling, scope: Scope, receive: Receive) -> Response:
        try:
            frames = await polling.get(receive)
        except BadPacket:
            return PlainTextResponse("overlap", 400)
        response = _payload(frames)
        accepted = Headers(scope=scope).get("accept-encoding", "")
        if len(response.body) >= _COMPRESS_FROM and "gzip" in accepted:
            # Level 1: the library's 9 holds up every client while it packs a large answer.
            response.body = gzip.compress(response.body, 1)
            response.headers["Content-Encoding"] = "gzip"
            response.headers["Content-Length"] = str(len(response.body))
        return response

    async def _post(self, polling: Polling, receive: Receive) -> Response:
        status = await polling.post(receive)
        return PlainTextResponse("ok" if status == 200 else "bad request", status)


def _again(scope: Scope) -> Response:
    """Have the client repeat its request, whatever its method, on a new connection."""
    path = f"{scope['path']}?{scope['query_string'].decode('latin-1')}&{_MOVED}=1"
    return RedirectResponse(path, 307, headers={"Connection": "close"})


def _payload(frames: list[Frame]) -> Response:
    return PlainTextResponse(encode_payload(frames), headers=_NO_STORE)


def _abort(scope: Scope) -> Callable[[], object]:
    """How to cut the transport of a peer that does not read; our uvicorn protocol offers it."""
    extension = scope.get("extensions", {}).get("parley.abort", {})
    abort: Callable[[], object] = extension.get("abort", lambda: None)
    return abort


def _direct(scope: Scope) -> Direct | None:
    """How to use the websocket without waiting; our uvicorn protocol offers it."""
    extensions = scope.get("extensions", {})
    if "parley.write" not in extensions:
        return None
    writing = extensions["parley.write"]
    return Direct(writing["write"], writing["writable"], extensions["parley.read"]["listen"])


def _environ(scope: Scope) -> dict[str, object]:
    """What handlers see of the request; its headers are in the scope.

    The library's keeps the request's body and channels alive as long as the connection, and says
    127.0.0.1 of every client.
    """
    return {
        "asgi.scope": scope,
        "REQUEST_METHOD": "GET",
        "PATH_INFO": scope["path"],
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "REMOTE_ADDR": scope["client"][0] if scope.get("client") else "",
    }
