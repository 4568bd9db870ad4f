"""The application: Starlette, with the paths and WebSockets as clients of ours use them."""

from collections.abc import Awaitable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from server.protocols.visits import Callers


class Application(Starlette):
    """Starlette, whose routing, middleware and answers to errors are for HTTP only.

    WebSockets go past these layers, each of which would keep a frame for as long as an idle one
    lasts: `sockets` has an application for each first part of a path. `callers` knows how many
    connections each address may have.

    A path may end in a slash. Below the prefixes of `caseless`, upper case is the same as lower
    case. The older server's Express accepts both, so its clients may send either.
    """

    def __init__(
        self,
        *,
        sockets: Mapping[str, ASGIApp],
        callers: Callers,
        caseless: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        # A redirect would name the Host header's host, and http behind a proxy that ends TLS.
        self.router.redirect_slashes = False
        self._sockets = sockets
        self.callers = callers
        self._caseless = caseless
        # The paths of mounted applications, which keep their slash.
        self._mounted = {route.path for route in self.routes if isinstance(route, Mount)}

    def serves_websocket(self, path: str) -> bool:
        """Whether there is a WebSocket at the path; elsewhere its handshake is a plain GET."""
        return _first_part(path) in self._sockets

    def __call__(  # type: ignore[override]  # whatever can be awaited will do
        self, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        """Serve, without a frame of its own."""
        serve: ASGIApp = super().__call__
        if scope["type"] == "websocket":
            serve = self._sockets.get(_first_part(scope["path"]), serve)
        elif scope["type"] == "http":
            self._tidy(scope)
        return serve(scope, receive, send)

    def _tidy(self, scope: Scope) -> None:
        """Give the path the one form that routes have."""
        path: str = scope["path"]
        if path[-1:] == "/" or path in self._mounted:
            path = path.rstrip("/")
            path = scope["path"] = f"{path}/" if path in self._mounted else path or "/"
        if not path.islower() and path.lower().startswith(self._caseless):
            scope["path"] = path.lower()


def _first_part(path: str) -> str:
    return path.strip("/").partition("/")[0]
