"""One log line a request: method, path, status, time. Never a query string, a header or a body."""

import logging
import time
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("parley.access")


class AccessLog:
    """ASGI middleware that logs each HTTP request and each WebSocket when it is over."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve, and log the outcome; without a frame of its own where that is not logged."""
        if scope["type"] not in {"http", "websocket"} or not logger.isEnabledFor(logging.INFO):
            return self._app(scope, receive, send)
        return self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status: int | None = None

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
        finally:
            fields = {
                "method": scope.get("method", "WS"),
                "path": scope["path"],
                "status": status,
                "ms": round((time.perf_counter() - started) * 1000, 1),
            }
            line = "%(method)s %(path)s %(status)s %(ms).1fms"
            logger.info(line, fields, extra={"fields": fields})
