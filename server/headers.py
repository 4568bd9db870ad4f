"""The headers that tell browsers what they may use an answer for; on every answer over HTTP.

A route may set any of them itself: the playground says what it loads, a file that other sites may
show it, an asset how long it may be kept.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.calls import Header, call_of

# `fetch` across origins is CORS's to decide; Cross-Origin-Resource-Policy is about the rest.
DEFAULTS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # Tokens, and what people wrote: no cache on the way may keep it.
    (b"cache-control", b"no-store"),
)


def security_headers(hsts_seconds: int) -> tuple[Header, ...]:
    """Return the headers of each answer; with `hsts_seconds`, browsers insist on https."""
    if not hsts_seconds:
        return DEFAULTS
    return (*DEFAULTS, (b"strict-transport-security", b"max-age=%d" % hsts_seconds))


class SecurityHeaders:
    """ASGI middleware, the outermost, that adds the headers which an answer does not have."""

    def __init__(self, app: ASGIApp, *, hsts_seconds: int = 0) -> None:
        self.app = app
        self._headers = security_headers(hsts_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [*message.get("headers", ()), *call_of(scope).headers]
                message["headers"] = self._completed(given)
            await send(message)

        await self.app(scope, receive, sending)

    def _completed(self, given: list[Header]) -> list[Header]:
        present = {name for name, _ in given}  # in lower case, as ASGI has them
        return [*given, *(header for header in self._headers if header[0] not in present)]
