"""WebSockets go straight to who serves them."""

from collections.abc import Awaitable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class Sockets:
    """ASGI middleware before what is for HTTP only: routing, CORS, answers to errors.

    Each layer between would keep a frame, for as long as an idle connection lasts. `at` names the
    applications by the first part of the path.
    """

    def __init__(self, app: ASGIApp, at: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._at = at

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve, without a frame of its own."""
        app = None
        if scope["type"] == "websocket":
            app = self._at.get(scope["path"].strip("/").partition("/")[0])
        return (app or self._app)(scope, receive, send)
