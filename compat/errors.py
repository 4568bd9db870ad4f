"""From an operation's error to the older forms."""

import logging

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from compat.shapes import ErrorShape
from resolvers.errors import Code, ParleyError
from server.retry_after import retry_after

logger = logging.getLogger("parley.compat")

STATUS = {
    Code.UNAUTHENTICATED: 401,
    Code.FORBIDDEN: 403,
    Code.NOT_FOUND: 404,
    Code.BAD_USER_INPUT: 400,
    # The older server answers 400 to an e-mail that is taken, and its clients look for that.
    Code.CONFLICT: 400,
    Code.RATE_LIMITED: 429,
    Code.PAYLOAD_TOO_LARGE: 413,
    # The one INTERNAL that is raised on purpose: the database is away.
    Code.INTERNAL: 503,
}
UNEXPECTED = "Internal error"

_encoder = msgspec.json.Encoder()


class JSONAnswer(Response):
    """A JSON body; datetimes are written as RFC 3339."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Return the content as JSON."""
        return _encoder.encode(content)


async def answer_error(request: Request, error: Exception) -> Response:
    """Return a refusal as the older server answers one: a status and a `message`."""
    assert isinstance(error, ParleyError)  # noqa: S101  # Starlette calls this for nothing else
    status = STATUS[error.code]
    body: dict[str, object] = {"message": error.message, "code": error.code.value}
    if error.retry_after_ms is not None:
        body["retryAfterMs"] = error.retry_after_ms
    return JSONAnswer(body, status, retry_after(error.retry_after_ms))


def answer_unexpected(error: Exception) -> Response:
    """Return what nobody foresaw as a failure in the same form; it is logged, not shown."""
    logger.error("A request's handler failed", exc_info=error)
    return JSONAnswer({"message": UNEXPECTED, "code": Code.INTERNAL.value}, 500)


def cut_off(scope: Scope, error: ParleyError) -> None:
    """End an answer whose status has gone out: that it has no end is all that tells the client."""
    logger.warning("An answer was cut off: %s", error.message)
    scope["extensions"]["parley.abort"]["abort"]()


def error_shape(error: Exception) -> ErrorShape:
    """Return an error as Socket.IO clients get it; what is not meant for them is logged."""
    if isinstance(error, ParleyError):
        shape: ErrorShape = {"error": error.message, "code": error.code.value}
        if error.retry_after_ms is not None:
            shape["retryAfterMs"] = error.retry_after_ms
        return shape
    logger.error("An event's handler failed", exc_info=error)
    return {"error": UNEXPECTED, "code": Code.INTERNAL.value}
