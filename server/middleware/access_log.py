"""One log line a request (server/calls.py). Never a query string, a header or a body."""

import logging
from collections.abc import Awaitable, Iterable
from time import perf_counter
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.calls import call_of, log_request, logger
from server.remote import Remote


class Proxies(Protocol):
    """The proxies whose word on the client's address is believed (server/proxies.py)."""

    def show_client(self, direct: str, forwarded: Iterable[bytes]) -> str:
        """Return the caller's own address; empty when it is not known."""


class AccessLog:
    """ASGI middleware that logs each HTTP request and each WebSocket when it is over."""

    def __init__(self, app: ASGIApp, *, proxies: Proxies) -> None:
        self._app = app
        self._proxies = proxies

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve, and log the outcome; without a frame of its own where that is not logged."""
        if scope["type"] not in {"http", "websocket"} or not logger.isEnabledFor(logging.INFO):
            return self._app(scope, receive, send)
        return self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        status: int | None = None
        call, remote = call_of(scope), Remote(scope)
        # Read now: the headers of an open socket are dropped after its handshake.
        call.address = self._proxies.show_client(remote.address, remote.forwarded)

        async def watching_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "websocket.close":
                status = message.get("code", 1000)
            await send(message)

        async def watching_receive() -> Message:
            nonlocal status
            message = await receive()
            if message["type"] == "websocket.disconnect" and status is None:
                status = message.get("code", 1005)
            return message

        watch = receive if scope["type"] == "http" else watching_receive
        try:
            await self._app(scope, watch, watching_send)
        except Exception:
            if scope["type"] == "http" and status is None:
                status = 500  # what Starlette, around this, will answer
            raise
        finally:
            log_request(call, scope.get("method", "WS"), scope["path"], status, started)
