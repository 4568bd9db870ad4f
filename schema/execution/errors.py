"""From an error to its GraphQL form: `message`, `path`, and `extensions.code`.

What leaves the server also says the id of its request, by which the operator finds its log line.
"""

import logging
from typing import Any

from graphql import GraphQLError, GraphQLFormattedError

from resolvers.errors import Code, ParleyError

logger = logging.getLogger("parley.graphql")


def format_error(error: GraphQLError) -> GraphQLFormattedError:
    """Return the error as clients see it. An unforeseen error is logged, and masked."""
    formatted = error.formatted
    cause = error.original_error
    if isinstance(cause, ParleyError):
        code = cause.code
    elif cause is None or error.path is None:
        # The document or its variables are wrong; graphql-core's text says where.
        code = Code.BAD_USER_INPUT
    else:
        logger.error("A field failed at %s", error.path, exc_info=cause)
        code = Code.INTERNAL
        formatted["message"] = "Internal error"
    retry_after_ms = cause.retry_after_ms if isinstance(cause, ParleyError) else None
    formatted["extensions"] = _extensions(code, retry_after_ms)
    return formatted


def format_exception(error: Exception) -> GraphQLFormattedError:
    """Return an error that broke off a whole operation, in the same form."""
    if isinstance(error, ParleyError):
        return {
            "message": error.message,
            "extensions": _extensions(error.code, error.retry_after_ms),
        }
    logger.error("An operation failed", exc_info=error)
    return {"message": "Internal error", "extensions": _extensions(Code.INTERNAL, None)}


def _extensions(code: Code, retry_after_ms: int | None) -> dict[str, Any]:
    extensions: dict[str, Any] = {"code": code.value}
    if retry_after_ms is not None:
        extensions["retryAfterMs"] = retry_after_ms
    return extensions


def codes_of(result: dict[str, Any]) -> list[str]:
    """Return the codes of a result's errors."""
    return [error["extensions"]["code"] for error in result.get("errors", ())]


def with_request_id(result: dict[str, Any], request_id: str) -> dict[str, Any]:
    """Return a result whose errors say the request's id (`extensions.requestId`)."""
    if not result.get("errors") or not request_id:
        return result
    # Copies: what was refused once is remembered, and told to others.
    named = [
        {**error, "extensions": {**error["extensions"], "requestId": request_id}}
        for error in result["errors"]
    ]
    return {**result, "errors": named}
