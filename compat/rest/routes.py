"""The older REST routes, those documented and those its clients were seen to use."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Scope

from compat.bodies import (
    read_body,
    take_attachment,
    take_content,
    take_kind,
    take_number,
    take_optional_text,
    take_receiver,
    take_text,
)
from compat.errors import JSONAnswer, cut_off
from compat.rest.answering import Endpoint
from compat.rest.blocks import block_routes
from compat.rest.routing import identify_caller, keeps_no_body, route
from compat.rest.sessions import session_routes
from compat.shapes import (
    attachment_shape,
    limits_shape,
    login_shape,
    message_row,
    message_shape,
    user_shape,
)
from db.models import StoredMessage
from resolvers.attachments.forms import field_instead, receive_form
from resolvers.attachments.uploads import upload_attachment
from resolvers.auth import create_account, log_in
from resolvers.context import Context
from resolvers.errors import BadInput, ParleyError
from resolvers.guards.validation import check_query
from resolvers.messages import send_message, stream_messages
from resolvers.server_info import enforces_rates, get_limits
from resolvers.upkeep.health import check_ready
from server.multipart import MultipartBody
from server.remote import Remote
from server.retry_after import retry_after

Shape = Callable[[StoredMessage], Mapping[str, Any]]
Pages = AsyncGenerator[Sequence[StoredMessage], None]

# Written at once where a history is streamed: what waits in memory for a slow reader.
CHUNK_BYTES = 64 * 1024

_encoder = msgspec.json.Encoder()


def rest_routes(ctx: Context) -> list[Route]:
    """Return the routes, bound to this server."""
    max_bytes = ctx.settings.max_body_bytes

    async def register(request: Request) -> Response:
        body = await read_body(request, max_bytes)
        user = await create_account(
            ctx.called_from(Remote(request.scope)),
            email=take_text(body, "email", "Email"),
            password=take_text(body, "password", "Password"),
            display_name=take_text(body, "displayName", "Display name"),
        )
        return JSONAnswer(
            {"message": "User registered", "userId": user.id, "user": user_shape(user)}
        )

    async def login(request: Request) -> Response:
        body = await read_body(request, max_bytes)
        logged_in = await log_in(
            ctx.called_from(Remote(request.scope)),
            email=take_text(body, "email", "Email"),
            password=take_text(body, "password", "Password"),
        )
        return JSONAnswer(login_shape(logged_in))

    async def send(request: Request) -> Response:
        viewer = await identify_caller(ctx, request)
        body = await read_body(request, max_bytes)
        sent = await send_message(
            viewer,
            receiver_id=take_receiver(body),
            content=take_content(body),
            kind=take_kind(body),
            attachment_id=take_attachment(body),
            client_message_id=request.headers.get("idempotency-key")
            or take_optional_text(body, "clientMessageId"),
        )
        return JSONAnswer(message_shape(sent, ctx.file_urls), 201)

    async def upload(request: Request) -> Response:
        viewer = await identify_caller(ctx, request)
        keeps_no_body(request.scope)
        try:
            body = MultipartBody(request.headers, request.stream())
            async with receive_form(viewer, body, max_files=1) as form:
                if not form.files:
                    raise BadInput(_no_file(form.fields))
                [received] = form.files.values()
                if not (received.filename or received.size):
                    raise BadInput("No file was chosen")  # a browser's form, sent without one
                kind = take_kind(form.fields) if form.fields.get("kind") else None
                kept = await upload_attachment(viewer, received, kind=kind)
        except ClientDisconnect as error:
            raise BadInput("The body was cut short") from error
        return JSONAnswer(attachment_shape(kept, ctx.file_urls), 201)

    def history(shape: Callable[..., Mapping[str, Any]]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            viewer = await identify_caller(ctx, request)
            check_query(request.scope["query_string"])
            parameters = request.query_params
            stream = stream_messages(
                viewer,
                with_id=take_number(parameters.get("with"), "with"),
                after=take_number(parameters.get("after"), "after"),
                before=take_number(parameters.get("before"), "before"),
                limit=take_number(parameters.get("limit"), "limit"),
            )
            return await _answer_array(request, stream, partial(shape, urls=ctx.file_urls))

        return endpoint

    async def health(request: Request) -> Response:
        return JSONAnswer({"ok": True})

    async def ready(request: Request) -> Response:
        try:
            await check_ready(ctx)
        except ParleyError as error:
            body = {"ok": False, "message": error.message}
            return JSONAnswer(body, 503, retry_after(error.retry_after_ms))
        return JSONAnswer({"ok": True})

    async def limits(request: Request) -> Response:
        return JSONAnswer(limits_shape(get_limits(ctx), enforced=enforces_rates(ctx)))

    return [
        route("GET", "/api/limits", limits),
        route("POST", "/api/auth/register", register),
        route("POST", "/api/auth/login", login),
        *session_routes(ctx),
        route("GET", "/api/messages", history(message_shape)),
        route("POST", "/api/messages/send", send),
        route("POST", "/api/message/send", send),
        route("GET", "/api/message/all-message", history(message_row)),
        route("POST", "/api/uploads", upload),
        *block_routes(ctx),
        route("GET", "/health", health),
        route("GET", "/ready", ready),
    ]


def _no_file(fields: Mapping[str, str]) -> str:
    """Return what is told of a form without a file."""
    named = next((name for name in fields if name != "kind"), None)
    return "The form has no file" + ("" if named is None else f"; {field_instead(named)}")


async def _answer_array(request: Request, pages: Pages, shape: Shape) -> Response:
    """Answer with a JSON array; what is long is written as it is read, so that it costs no memory.

    Two pages are read before the status goes out: until then an error can still be one.
    """
    # Not `()` for none: CPython 3.11 raises a SystemError when the default is a tuple.
    first: Sequence[StoredMessage] = await anext(pages, [])
    second: Sequence[StoredMessage] = await anext(pages, [])
    if not second:
        whole = _encoder.encode([shape(message) for message in first])
        if len(whole) <= CHUNK_BYTES:  # most are: one write, and its length is told
            return Response(whole, media_type="application/json")
    body = _write_array(request.scope, first, second, pages, shape)
    return StreamingResponse(body, media_type="application/json")


async def _write_array(
    scope: Scope,
    page: Sequence[StoredMessage],
    following: Sequence[StoredMessage],
    pages: Pages,
    shape: Shape,
) -> AsyncGenerator[bytes, None]:
    chunk = b"["
    separator = b""
    async with aclosing(pages):
        while page:
            for message in page:
                row = separator + _encoder.encode(shape(message))
                separator = b","
                if len(chunk) + len(row) > CHUNK_BYTES:
                    yield chunk
                    chunk = b""
                chunk += row
            try:
                page, following = following, await anext(pages, [])
            except ParleyError as error:
                cut_off(scope, error)
                return
    yield chunk + b"]"
