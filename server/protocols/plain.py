"""Answers to HTTP/1.0, which knows no chunks: without a length, the connection's end ends them."""

import sys

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
# Longer than any answer: uvicorn counts the bytes down, and checks that none is missing.
_ENDLESS = sys.maxsize


class Unchunked:
    """An ASGI application whose answers uvicorn does not put into chunks."""

    def __init__(self, app: ASGIApp, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        cycle, endless = self._cycle, False

        async def send_plain(message: Message) -> None:
            nonlocal endless
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message.get("headers", ())}
                bodiless = scope["method"] == "HEAD" or message["status"] in {204, 304}
                endless = not bodiless and not names & _FRAMING
                if endless:
                    cycle.chunked_encoding = False
                    cycle.expected_content_length = _ENDLESS
            elif endless and not message.get("more_body", False):
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, send_plain)
