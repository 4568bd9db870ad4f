"""CORS, at no cost for requests that no page of another origin makes."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

# What pages of other origins may read of an answer, beside what they may anyway.
EXPOSED_HEADERS = (
    *("Retry-After", "ETag", "Accept-Ranges", "Content-Range", "Content-Disposition"),
    *("X-Request-ID", "traceparent"),
)


def cors(origins: Sequence[str]) -> Middleware:
    """Return the middleware for pages of these origins; `*` is any."""
    return Middleware(
        CORS,
        allow_origins=origins,
        # Never for any origin: a page of anybody's could then act with a visitor's cookies.
        allow_credentials="*" not in origins,
        # A page on the internet may reach a server in its visitor's own network.
        allow_private_network=True,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=EXPOSED_HEADERS,
        max_age=600,
    )


class CORS(CORSMiddleware):
    """Starlette's, with two differences.

    A request without `Origin`, or from a page that is not allowed, gets a `Vary` and no more:
    Starlette reads and writes each answer's headers through objects, which takes longer than the
    parsing of the request. And a page that is not allowed is not told that credentials are.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] != "http" or self._concerns(scope):
            await super().__call__(scope, receive, send)
            return

        async def send_varying(message: Message) -> None:
            if message["type"] == "http.response.start":
                _vary(message)
            await send(message)

        await self.app(scope, receive, send_varying)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a browser that asks before it sends."""
        response = super().preflight_response(request_headers)
        if "access-control-allow-origin" not in response.headers:
            del response.headers["access-control-allow-credentials"]
        return response

    def _concerns(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name == b"origin":
                return scope["method"] == "OPTIONS" or self.is_allowed_origin(
                    value.decode("latin1")
                )
        return False


def _vary(message: Message) -> None:
    headers = [*message.get("headers", ())]
    varying = [value for name, value in headers if name == b"vary"]
    if varying:
        headers = [header for header in headers if header[0] != b"vary"]
    message["headers"] = [*headers, (b"vary", b", ".join([*varying, b"Origin"]))]
