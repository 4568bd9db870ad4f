"""The ASGI application at /graphql: HTTP, WebSocket and the playground."""

import asyncio
import logging
from collections.abc import Sequence

from msgspec.structs import replace
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from resolvers.context import Context
from schema.execution.operations import Operations
from schema.root import schema
from schema.transports.heartbeat import pause_of
from schema.transports.http import answer_request
from schema.transports.protocol import SUBPROTOCOL, CloseCode
from schema.transports.server_sent_events import EventStream
from schema.transports.websocket import GraphQLSocket
from server.calls import call_of, current
from server.remote import Remote

# Some clients still offer `graphql-ws` by default, which subscriptions-transport-ws spoke.
NOT_ACCEPTABLE = "Subprotocol not acceptable: use graphql-transport-ws"

logger = logging.getLogger("parley.graphql")


class GraphQLEndpoint:
    """Serves GraphQL. `drain` ends the WebSockets so that their clients reconnect."""

    def __init__(self, ctx: Context, *, origins: Sequence[str]) -> None:
        self._ctx = ctx = replace(ctx, shows_groups=True)
        self._origins = frozenset(origins)
        self._operations = Operations(schema, ctx)
        self._timer: asyncio.TimerHandle | None = None  # none while there are no sockets
        self._draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or connection."""
        ctx = self._ctx.called_from(Remote(scope))
        current.set((call_of(scope), ""))  # the server made a task for this
        if scope["type"] == "websocket":
            await self._serve_websocket(ctx, WebSocket(scope, receive, send))
        else:
            response = await answer_request(ctx, self._operations, Request(scope, receive))
            await response(scope, receive, send)

    async def drain(self) -> None:
        """Take no new WebSockets; let operations in flight finish, then close the open ones."""
        self._draining = True
        for stream in self._ctx.hub.transports(EventStream):
            stream.drain()
        await asyncio.gather(*(socket.drain() for socket in self._sockets()))

    def _sockets(self) -> list[GraphQLSocket]:
        return self._ctx.hub.transports(GraphQLSocket)

    async def _serve_websocket(self, ctx: Context, websocket: WebSocket) -> None:
        full = not ctx.connection_slots.has_room(ctx.address)
        if self._draining or full or not self._is_allowed(websocket):
            await websocket.close()  # before accept: the handshake is refused with 403
            return
        leave = ctx.connection_slots.count(ctx.address)
        try:
            await self._serve_peer(ctx, websocket)
        finally:
            leave()

    async def _serve_peer(self, ctx: Context, websocket: WebSocket) -> None:
        offered = websocket.scope["subprotocols"]
        if SUBPROTOCOL not in offered:
            # A browser reads the close code only if one of the protocols that it offered is taken.
            await websocket.accept(offered[0] if offered else None)
            await websocket.close(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, NOT_ACCEPTABLE)
            return
        await websocket.accept(SUBPROTOCOL)
        self._check_later()
        await GraphQLSocket(ctx, self._operations, websocket).serve()

    def _check_later(self) -> None:
        # One timer for all connections: an idle one must cost little.
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(pause_of(self._ctx), self._check_heartbeats)

    def _check_heartbeats(self) -> None:
        self._timer = None
        sockets = self._sockets()
        if sockets:
            self._check_later()
        for socket in sockets:
            try:
                socket.check_heartbeat()
            except Exception:  # the connections after it are checked all the same
                logger.exception("A heartbeat failed")

    def _is_allowed(self, websocket: WebSocket) -> bool:
        # A browser sends Origin and cannot be told not to; CORS does not cover WebSockets.
        origin = websocket.headers.get("origin")
        if origin is None or "*" in self._origins or origin in self._origins:
            return True
        return origin.partition("://")[2] == websocket.headers.get("host")
