"""An operation's error in the older forms: as a REST answer, and for Socket.IO."""

import logging

import msgspec
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
    Code.CURSOR_EXPIRED: 400,
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


def error_answer(error: Exception) -> Response:
    """Return an error as the older server answers one: a status and a `message`."""
    shape = error_shape(error)
    body = {"message" if name == "error" else name: value for name, value in shape.items()}
    if not isinstance(error, ParleyError):
        return JSONAnswer(body, 500)
    return JSONAnswer(body, STATUS[error.code], retry_after(error.retry_after_ms))


def cut_off(scope: Scope, error: ParleyError) -> None:
    """Abort an answer whose status has gone out: its client sees that the end is missing."""
    logger.warning("An answer was cut off: %s", error.message)
    scope["extensions"]["parley.abort"]["abort"]()


def error_shape(error: Exception) -> ErrorShape:
    """Return an error as Socket.IO clients get it; an unforeseen one is logged, not shown."""
    if isinstance(error, ParleyError):
        shape: ErrorShape = {"error": error.message, "code": error.code.value}
        if error.retry_after_ms is not None:
            shape["retryAfterMs"] = error.retry_after_ms
        return shape
    logger.error("A request or an event could not be handled", exc_info=error)
    return {"error": UNEXPECTED, "code": code_of(error)}


def code_of(error: Exception) -> str:
    """Return the code that clients are told."""
    return (error.code if isinstance(error, ParleyError) else Code.INTERNAL).value
