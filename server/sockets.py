"""WebSockets go straight to who serves them."""

from collections.abc import Awaitable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send


class Application(Starlette):
    """Starlette, whose routing, middleware and answers to errors are for HTTP only.

    Each layer would keep a frame for as long as an idle WebSocket lasts. `sockets` names who
    serves them by the first part of the path; all others meet what Starlette does with them.
    """

    def __init__(self, *, sockets: Mapping[str, ASGIApp], **options: Any) -> None:
        super().__init__(**options)
        self._sockets = sockets

    def __call__(  # type: ignore[override]  # whatever can be awaited will do
        self, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        """Serve, without a frame of its own."""
        serve: ASGIApp = super().__call__
        if scope["type"] == "websocket":
            serve = self._sockets.get(scope["path"].strip("/").partition("/")[0], serve)
        return serve(scope, receive, send)
