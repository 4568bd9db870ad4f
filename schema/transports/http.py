"""GraphQL over HTTP (the GraphQL-over-HTTP specification, graphql.github.io/graphql-over-http)."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from graphql import OperationType
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from resolvers.context import Context
from resolvers.errors import BadInput, Code, ParleyError, PayloadTooLarge, RateLimited
from resolvers.people.auth import enter_request
from schema.execution.documents import Operation, RequestRefused
from schema.execution.errors import codes_of, with_request_id
from schema.execution.operations import Operations, refusal
from schema.execution.persisted import PersistedQueryUnknown
from schema.execution.plans import Result
from schema.execution.requests import GraphQLRequest
from schema.transports.server_sent_events import EVENT_STREAM, EventStream, whole_stream
from schema.transports.uploads import (
    check_preflight,
    not_a_request,
    read_multipart,
    require_document,
)
from server.bearer import bearer_token
from server.calls import Call, call_of, current, distinct
from server.json_input import read_json_as
from server.parameters import TOO_MANY_PARAMETERS, has_too_many_parameters
from server.retry_after import retry_after
from web.playground import playground_page

JSON = "application/json"
RESPONSE_JSON = "application/graphql-response+json"
MULTIPART = "multipart/form-data"
# Beyond, nothing more is read of what a client would like best.
MAX_ACCEPT = 2048

# Why a request with files is refused before its operation is known; anything else is a 400.
_STATUS = {
    Code.UNAUTHENTICATED: 401,
    Code.PAYLOAD_TOO_LARGE: 413,
    Code.RATE_LIMITED: 429,
    Code.INTERNAL: 503,
}

_encoder = msgspec.json.Encoder()


class _HTTPError(Exception):
    """A request that is not even a GraphQL request."""

    def __init__(self, status: int, error: ParleyError, headers: dict[str, str] | None = None):
        super().__init__(error.message)
        self.status = status
        self.error = error
        self.headers = headers or {}


async def answer_request(
    ctx: Context, operations: Operations, request: Request
) -> Response | EventStream:
    """Answer one HTTP request."""
    media_type, streams = _negotiate(request.headers.getlist("accept"))
    streams = streams and request.method != "HEAD"
    try:
        if has_too_many_parameters(request.scope["query_string"]):
            raise BadInput(TOO_MANY_PARAMETERS)
        asks = "query" in request.query_params or "extensions" in request.query_params
        if _method(request) == "GET" and not asks and _is_browser(request):
            shows = ctx.settings.shows_playground
            return playground_page() if shows else Response("Not Found", 404)
        if media_type is None:
            spoken = f"Only {RESPONSE_JSON}, {JSON} and {EVENT_STREAM} are spoken"
            raise _HTTPError(406, BadInput(spoken))
        if _is_multipart(request):
            result = await _execute_multipart(ctx, operations, request)
        else:
            parameters = await _read(request, ctx.settings.max_body_bytes)
            viewer = await _enter(ctx, request)
            operation = operations.prepare(viewer, parameters)
            _note(request, operation)
            if streams and operation.type is OperationType.SUBSCRIPTION:
                stream = EventStream(ctx, operations, operation, parameters.variables, request)
                await stream.begin(bearer_token(request.headers.get("authorization")))
                return stream
            result = await _execute(viewer, operations, request, operation, parameters.variables)
    except Exception as error:  # the border: whatever it was, the client hears in GraphQL's form
        return _refuse(call_of(request.scope), error, media_type or JSON)
    return _respond(call_of(request.scope), result, 200, media_type)


async def _execute_multipart(ctx: Context, operations: Operations, request: Request) -> Result:
    async with AsyncExitStack() as files:
        try:
            check_preflight(request)
            viewer = await _enter(ctx, request)
            parameters = await files.enter_async_context(read_multipart(viewer, request))
        except ClientDisconnect as error:
            raise _HTTPError(400, BadInput("The body was cut short")) from error
        except ParleyError as error:
            raise _HTTPError(_STATUS.get(error.code, 400), error) from error
        operation = operations.prepare(viewer, parameters)
        _note(request, operation)
        return await _execute(viewer, operations, request, operation, parameters.variables)


async def _execute(
    viewer: Context,
    operations: Operations,
    request: Request,
    operation: Operation,
    variables: dict[str, Any] | None,
) -> Result:
    _check_method(operation, _method(request))
    return await operations.execute(viewer, operation, variables)


async def _enter(ctx: Context, request: Request) -> Context:
    token = bearer_token(request.headers.get("authorization"))
    viewer = await enter_request(ctx, token)
    call_of(request.scope).note_login(None if viewer.viewer is None else viewer.viewer.id, token)
    return viewer


def _note(request: Request, operation: Operation) -> None:
    """Have the request's log line say which operation it is."""
    call = call_of(request.scope)
    call.note(**operation.label.told)
    current.set((call, operation.label.text))


def _refuse(call: Call, error: Exception, media_type: str) -> Response:
    """Return the answer to a request whose operation was not executed, or broke off."""
    headers: dict[str, str] = {}
    if media_type == EVENT_STREAM:
        if isinstance(error, RequestRefused):  # PersistedQueryUnknown too
            return whole_stream(_told(call, refusal(error)))
        media_type = RESPONSE_JSON  # with a status that says whether to try again
    match error:
        case _HTTPError():
            status, headers, error = error.status, error.headers, error.error
        case BadInput():
            status = 400
        case PersistedQueryUnknown():
            status = 200
        # Under `application/json` a client could not tell our 4xx from a proxy's: it gets a 200.
        case RequestRefused():
            status = 400 if media_type == RESPONSE_JSON else 200
        case RateLimited():
            status = 429 if media_type == RESPONSE_JSON else 200
        case ParleyError():
            status = 503
        case _:
            status = 500
    if isinstance(error, ParleyError):
        headers |= retry_after(error.retry_after_ms)
    return _respond(call, refusal(error), status, media_type, headers=headers)


def _is_multipart(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0]
    return request.method == "POST" and media_type.strip().lower() == MULTIPART


def _negotiate(accept: Sequence[str]) -> tuple[str | None, bool]:
    """Return the media type to answer in, and whether a subscription is answered in a stream.

    None when the client takes none of ours. Client libraries name EVENT_STREAM beside JSON, and
    expect JSON of a query.
    """
    weights: dict[str, float] = {}
    for part in ",".join(accept)[:MAX_ACCEPT].split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weights[name] = float(quality)
        except ValueError:
            weights[name] = 1.0
    if not "".join(accept).strip():
        return JSON, False
    stream = weights.get(EVENT_STREAM, 0)
    anything = max(weights.get("*/*", 0), weights.get("application/*", 0))
    json, response_json = weights.get(JSON, anything), weights.get(RESPONSE_JSON, anything)
    if stream > max(json, response_json):
        return EVENT_STREAM, True
    if max(json, response_json) <= 0:
        return None, False
    # Equal weights: whoever names the newer type knows it; `*/*` alone is an older client.
    newer = RESPONSE_JSON in weights and response_json >= json
    return RESPONSE_JSON if newer or response_json > json else JSON, stream > 0


def _method(request: Request) -> str:
    # The server leaves out the body of what HEAD asks for.
    return "GET" if request.method == "HEAD" else request.method


def _is_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


async def _read(request: Request, max_bytes: int) -> GraphQLRequest:
    try:
        if _method(request) == "GET":
            return _read_query(request)
        if request.method != "POST":
            raise _HTTPError(405, BadInput("Only GET and POST are served"), {"Allow": "GET, POST"})
        media_type, _, parameters = request.headers.get("content-type", "").partition(";")
        if media_type.strip().lower() != JSON:
            # Also the defence against forged requests: no form can send this type.
            raise _HTTPError(415, BadInput(f"The Content-Type must be {JSON}"))
        if "charset" in parameters.lower() and "utf-8" not in parameters.lower():
            raise _HTTPError(415, BadInput("The charset must be utf-8"))
        return require_document(read_json_as(await _read_body(request, max_bytes), GraphQLRequest))
    except msgspec.ValidationError as error:
        raise _HTTPError(400, not_a_request(error)) from error
    except (ValueError, RecursionError) as error:
        raise _HTTPError(400, BadInput(f"The body is not valid JSON: {error}")) from error


def _read_query(request: Request) -> GraphQLRequest:
    parameters = request.query_params
    objects = {
        name: read_json_as(parameters[name], dict[str, Any])
        for name in ("variables", "extensions")
        if parameters.get(name)
    }
    sent = GraphQLRequest(
        query=parameters.get("query"), operation_name=parameters.get("operationName"), **objects
    )
    if not sent.has_document:
        raise _HTTPError(400, BadInput("The query parameter `query` is missing"))
    return sent


async def _read_body(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                text = f"The body is larger than {max_bytes} bytes"
                raise _HTTPError(413, PayloadTooLarge(text, setting="MAX_BODY_BYTES"))
    except ClientDisconnect as error:
        body.clear()  # the error's traceback holds it, for as long as nobody looks for cycles
        raise _HTTPError(400, BadInput("The body was cut short")) from error
    return bytes(body)


def _check_method(operation: Operation, method: str) -> None:
    if operation.type is OperationType.SUBSCRIPTION:
        # Not a 405: no method would do, and that one must name those that would.
        raise _HTTPError(
            400,
            BadInput(
                "Subscriptions are served over WebSocket (graphql-transport-ws), and as"
                f" {EVENT_STREAM} to those who accept it"
            ),
        )
    if method == "GET" and operation.type is not OperationType.QUERY:
        raise _HTTPError(405, BadInput("A mutation must be sent by POST"), {"Allow": "POST"})


def _told(call: Call, result: Result) -> Result:
    """Note a result's errors for the log line; have them say the request's id."""
    if codes := codes_of(result):
        call.note(errors=distinct(codes))
    return with_request_id(result, call.request_id)


def _respond(
    call: Call,
    result: Result,
    status: int,
    media_type: str,
    *,
    headers: dict[str, str] | None = None,
) -> Response:
    result = _told(call, result)
    if media_type == EVENT_STREAM:
        return whole_stream(result)
    return Response(
        _encoder.encode(result), status, headers=headers, media_type=f"{media_type}; charset=utf-8"
    )
