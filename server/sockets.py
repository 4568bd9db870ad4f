"""WebSockets go straight to who serves them."""

from collections.abc import Awaitable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from server.visits import Anybody, Callers


class Application(Starlette):
    """Starlette, whose routing, middleware and answers to errors are for HTTP only.

    Each layer would keep a frame for as long as an idle WebSocket lasts. `sockets` names who
    serves them by the first part of the path. `callers` knows how many connections each address
    may have.
    """

    def __init__(
        self, *, sockets: Mapping[str, ASGIApp], callers: Callers | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._sockets = sockets
        self.callers = callers or Anybody()

    def takes_websocket(self, path: str) -> bool:
        """Whether there is a WebSocket at the path; elsewhere its handshake is a plain GET."""
        return _first_part(path) in self._sockets

    def __call__(  # type: ignore[override]  # whatever can be awaited will do
        self, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        """Serve, without a frame of its own."""
        serve: ASGIApp = super().__call__
        if scope["type"] == "websocket":
            serve = self._sockets.get(_first_part(scope["path"]), serve)
        return serve(scope, receive, send)


def _first_part(path: str) -> str:
    return path.strip("/").partition("/")[0]
