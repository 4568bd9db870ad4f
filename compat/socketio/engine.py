"""The Engine.IO 4 server: its HTTP and websocket doors in front of many connections."""

import asyncio
import contextlib
import gzip
import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from starlette.datastructures import Headers, QueryParams
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from compat.socketio.endings import Ending
from compat.socketio.engine_socket import CLOSE_GRACE, LINGER, EngineSocket
from compat.socketio.options import Options
from compat.socketio.packets import BadPacket, EncodedEvent, Frame, encode_payload
from compat.socketio.polling import Polling
from compat.socketio.transports import CLOSED, forget_request
from compat.socketio.websocket import Websocket

# The bodies that the Node server answers with; clients show them.
_UNKNOWN_TRANSPORT = (400, 0, "Transport unknown")
_UNKNOWN_SESSION = (400, 1, "Session ID unknown")
_BAD_METHOD = (400, 2, "Bad handshake method")
_BAD_REQUEST = (400, 3, "Bad request")
_FOREIGN_ORIGIN = (403, 4, "Forbidden")
_BAD_VERSION = (400, 5, "Unsupported protocol version")
_DRAINING = (503, 3, "Server is restarting")
_TOO_MANY = (429, 3, "Too many connections from this address")

ID_BYTES = 15  # of chance: twenty characters, as older servers' ids have
MAX_QUERY = 2048  # bytes of an address: ours have a hundred
_MOVED = "moved"  # a parameter of requests that were sent to another process already

_COMPRESS_FROM = 1024  # bytes; below, gzip costs more than it saves
_NO_STORE = {"Cache-Control": "no-store"}


class Application(Protocol):
    """The layer above, for which the sessions carry messages."""

    def has_room(self, scope: Scope) -> bool:
        """Whether the caller's address may open another session."""

    def count(self, scope: Scope) -> Callable[[], None]:
        """Count a session for the caller's address; return how to count it off."""

    def on_open(self, socket: EngineSocket, scope: Scope) -> None:
        """Serve a session that has opened."""

    async def on_message(self, socket: EngineSocket, data: Frame) -> None:
        """Act on a message. Raises BadPacket, which ends the session."""

    def handle_now(self, socket: EngineSocket, data: str) -> bool:
        """Act on a message at once, without waiting; False where that is not possible."""

    def on_close(self, socket: EngineSocket, reason: str) -> None:
        """Forget a session that has ended."""


class EngineServer:
    """Serves Engine.IO 4: an answer for every request, and a bound for every queue.

    python-engineio's own server lets bad requests through as unhandled exceptions, or answers them
    200, and queues without a bound.
    """

    def __init__(self, application: Application, options: Options) -> None:
        self.application = application
        self.options = options
        self.sockets: dict[str, EngineSocket] = {}
        self.draining = False
        self._farewells: set[asyncio.Task[None]] = set()

    def on_end(self, socket: EngineSocket, ending: Ending) -> None:
        """Tell the client and the application, in a task."""
        task = asyncio.create_task(self._farewell(socket, ending))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _farewell(self, socket: EngineSocket, ending: Ending) -> None:
        try:
            self.application.on_close(socket, ending.reason)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    await socket.over.wait()
        finally:
            socket.empty()
            self.sockets.pop(socket.sid, None)
            socket.count_off()
            # They refer to the session: a closed one must need no garbage collector.
            socket.transport = socket.direct = None

    async def end_all(self, ending: Ending) -> None:
        """End every session, and wait (not for long) until the clients are told."""
        for socket in list(self.sockets.values()):
            socket.end(ending)
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
        socket = self._find(query)
        refusal = self._refusal(scope, query, socket)
        if refusal is _UNKNOWN_SESSION and self._is_elsewhere(scope, query):
            answer: Response = _again(scope)
            await answer(scope, receive, send)
            return
        if refusal is not None:
            status, code, message = refusal
            headers = {"Retry-After": "10"} if status == 429 else None
            answer = JSONResponse({"code": code, "message": message}, status, headers)
        elif socket is None:
            polling = Polling(self._add(scope))
            self._open(polling, scope)
            answer = _payload(polling.pop_payload())
        else:
            transport = socket.transport
            assert isinstance(transport, Polling)  # noqa: S101  # or it would have been refused
            if scope["method"] == "GET":
                answer = await self._poll(transport, scope, receive)
            else:
                answer = await self._post(transport, receive)
        if self.options.process:
            # The next request may be another session's, whose process only a new connection finds.
            answer.headers["Connection"] = "close"
        await answer(scope, receive, send)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Beginning a session has a frame of its own, which an idle session must not keep.
        websocket = await self._accept(scope, receive, send)
        if websocket is not None:
            await websocket.carry(receive)

    async def _accept(self, scope: Scope, receive: Receive, send: Send) -> Websocket | None:
        """Begin a session, or move one from polling; None where that is refused."""
        await receive()  # websocket.connect
        query = QueryParams(scope["query_string"][:MAX_QUERY])
        socket = self._find(query)
        if self._refusal(scope, query, socket) is not None:
            # 403: uvicorn logs an error for each refusal that has a status of its own.
            await send({"type": "websocket.close"})
            return None
        await send({"type": "websocket.accept"})
        polling = None if socket is None else socket.transport
        moves = isinstance(polling, Polling) and await polling.upgrade(receive, send)
        if socket is not None and not moves:
            with contextlib.suppress(*CLOSED):
                await send({"type": "websocket.close"})
            return None
        websocket = Websocket(socket or self._add(scope), scope, send)
        websocket.attach()
        if socket is None:
            self._open(websocket, scope)
        else:
            forget_request(scope)
        return websocket

    def _find(self, query: QueryParams) -> EngineSocket | None:
        """Return the session that a request names, unless it has ended and its client was told."""
        socket = self.sockets.get(query.get("sid", ""))
        if socket is not None:
            socket.look()
            if socket.ending is not None and socket.ending.told:
                return None
        return socket

    def _is_elsewhere(self, scope: Scope, query: QueryParams) -> bool:
        """Whether another process may hold the session, and was not asked for it yet.

        A connection stays with the process that it was handed to. A browser may have opened it for
        something else, and use it for a session of another process (docs/decisions/0007).
        """
        holder = query["sid"].partition(".")[0]
        known = self.options.process and holder != self.options.process
        return bool(known and scope["type"] == "http" and _MOVED not in query)

    def _refusal(
        self, scope: Scope, query: QueryParams, socket: EngineSocket | None
    ) -> tuple[int, int, str] | None:
        websocket = scope["type"] == "websocket"
        method = "GET" if websocket else scope["method"]
        if query.get("transport") != ("websocket" if websocket else "polling"):
            return _UNKNOWN_TRANSPORT
        if self._is_foreign(Headers(scope=scope)):
            return _FOREIGN_ORIGIN
        if socket is None:
            if "sid" in query:
                return _UNKNOWN_SESSION
            if query.get("EIO") != "4":
                return _BAD_VERSION
            if method != "GET":
                return _BAD_METHOD
            if not self.application.has_room(scope):
                return _TOO_MANY
            return _DRAINING if self.draining else None
        # Not on the transport that the connection uses, or not a method of polling.
        return _BAD_REQUEST if socket.upgraded or method not in ("GET", "POST") else None

    def _is_foreign(self, headers: Headers) -> bool:
        """Whether a page of another site asks: browsers let any page open a websocket."""
        origin = headers.get("origin")
        if origin is None or "*" in self.options.origins or origin in self.options.origins:
            return False
        return origin.partition("://")[2] != headers.get("host")

    def _add(self, scope: Scope) -> EngineSocket:
        sid = new_id()
        if self.options.process:
            sid = f"{self.options.process}.{sid}"
        socket = self.sockets[sid] = EngineSocket(self, sid, self.application.count(scope))
        return socket

    def _open(self, transport: Polling | Websocket, scope: Scope) -> None:
        socket = transport.socket
        opening = {
            "sid": socket.sid,
            "upgrades": ["websocket"] if isinstance(transport, Polling) else [],
            "pingInterval": int(self.options.ping_interval * 1000),
            "pingTimeout": int(self.options.ping_timeout * 1000),
            "maxPayload": self.options.max_payload,
        }
        socket.push(EncodedEvent.of("0" + msgspec.json.encode(opening).decode()))
        self.application.on_open(socket, scope)

    async def _poll(self, polling: Polling, scope: Scope, receive: Receive) -> Response:
        try:
            frames = await polling.get(receive)
        except BadPacket:
            return PlainTextResponse("overlap", 400)
        response = _payload(frames)
        accepted = Headers(scope=scope).get("accept-encoding", "")
        if len(response.body) >= _COMPRESS_FROM and "gzip" in accepted:
            # Level 1: 9 would hold up every client while it packs a large answer.
            response.body = gzip.compress(response.body, 1)
            response.headers["Content-Encoding"] = "gzip"
            response.headers["Content-Length"] = str(len(response.body))
        return response

    async def _post(self, polling: Polling, receive: Receive) -> Response:
        status = await polling.post(receive)
        return PlainTextResponse("ok" if status == 200 else "bad request", status)


def new_id() -> str:
    """Return an id that nobody guesses."""
    return secrets.token_urlsafe(ID_BYTES)


def _again(scope: Scope) -> Response:
    """Have the client repeat its request, whatever its method, on a new connection."""
    path = f"{scope['path']}?{scope['query_string'].decode('latin-1')}&{_MOVED}=1"
    return RedirectResponse(path, 307, headers={"Connection": "close"})


def _payload(frames: list[Frame]) -> Response:
    return PlainTextResponse(encode_payload(frames), headers=_NO_STORE)
