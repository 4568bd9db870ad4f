"""The answers to requests that no application gets to see, in the form of the REST routes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter

from starlette.types import Receive, Scope, Send

from server.calls import Header, call_of, log_request, new_call
from server.headers import DEFAULTS

# Nobody knows when there will be room.
RETRY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status and why; an ASGI application that answers so."""

    status: int
    message: str
    code: str = "BAD_USER_INPUT"
    retry_seconds: int | None = None
    headers: Sequence[Header] = ()

    @property
    def answer(self) -> tuple[int, list[Header], bytes]:
        """The status, the headers, and the JSON that says why."""
        told: dict[str, object] = {"message": self.message, "code": self.code}
        headers = [*self.headers, (b"content-type", b"application/json"), *DEFAULTS]
        if self.retry_seconds is not None:
            told["retryAfterMs"] = self.retry_seconds * 1000
            headers.append((b"retry-after", b"%d" % self.retry_seconds))
        body = json.dumps(told).encode()
        return self.status, [*headers, (b"content-length", b"%d" % len(body))], body

    def to_bytes(self) -> bytes:
        """The whole answer, which is the last one of its connection."""
        status, headers, body = self.answer
        headers += new_call().headers
        return response(status, [*headers, (b"connection", b"close")], body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in turn, behind the answers to earlier requests."""
        started, call = perf_counter(), call_of(scope)
        status, headers, body = self.answer
        headers += call.headers
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        call.note(errors=[self.code])
        log_request(call, scope["method"], scope["path"], status, started)


def response(status: int, headers: Sequence[Header], body: bytes) -> bytes:
    """Return an answer as it goes over the wire."""
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    phrase = HTTPStatus(status).phrase.encode()
    return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, phrase, lines, body)


NOT_HTTP = Refusal(400, "This is not a valid HTTP/1.1 request")
HEAD_TOO_LARGE = Refusal(
    431, "The request's head is larger than 64 KiB, or has too many lines", "PAYLOAD_TOO_LARGE"
)
HEAD_TOO_SLOW = Refusal(408, "The request's head took too long")
BODY_TOO_SLOW = Refusal(408, "The request's body took too long")
NO_HOST = Refusal(400, "A request of HTTP/1.1 must have one header Host, with a valid value")
NO_TUNNEL = Refusal(
    405, "This server is no proxy", headers=((b"allow", b"GET, HEAD, POST, OPTIONS"),)
)
TOO_MUCH_UNFINISHED = Refusal(
    503,
    "Too much is held for requests that have not come whole; send it again",
    "RATE_LIMITED",
    RETRY_SECONDS,
)
TOO_MANY_CONNECTIONS = Refusal(
    429, "Too many connections from this address", "RATE_LIMITED", RETRY_SECONDS
)
NO_DESCRIPTORS = Refusal(
    503, "The server has no room for another connection", "RATE_LIMITED", RETRY_SECONDS
)
