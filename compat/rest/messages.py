"""The REST routes for messages: send one, read them all."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from compat.bodies import (
    parse_attachment,
    parse_content,
    parse_kind,
    parse_number,
    parse_optional_text,
    parse_receiver,
    read_body,
)
from compat.errors import JSONAnswer, cut_off
from compat.rest.routing import Endpoint, identify_caller
from compat.shapes import message_shape
from db.models import StoredMessage
from resolvers.context import Context
from resolvers.errors import BadInput, ParleyError
from resolvers.guards.file_urls import FileUrls
from resolvers.messages import send_message, stream_messages
from server.parameters import TOO_MANY_PARAMETERS, has_too_many_parameters

Shape = Callable[[StoredMessage, FileUrls], Mapping[str, Any]]
Page = Sequence[StoredMessage]

# A streamed history is written in pieces of this size: it is what a slow reader costs in memory.
CHUNK_BYTES = 64 * 1024

_encoder = msgspec.json.Encoder()


async def send(ctx: Context, request: Request) -> Response:
    """Send a message."""
    viewer = await identify_caller(ctx, request)
    body = await read_body(ctx, request)
    sent = await send_message(
        viewer,
        receiver_id=parse_receiver(body),
        content=parse_content(body),
        kind=parse_kind(body),
        attachment_id=parse_attachment(body),
        client_message_id=request.headers.get("idempotency-key")
        or parse_optional_text(body, "clientMessageId"),
    )
    return JSONAnswer(message_shape(sent, ctx.file_urls), 201)


def history(shape: Shape) -> Endpoint:
    """Return the endpoint that lists what the caller may see, each message in this shape."""

    async def endpoint(ctx: Context, request: Request) -> Response:
        viewer = await identify_caller(ctx, request)
        if has_too_many_parameters(request.scope["query_string"]):
            raise BadInput(TOO_MANY_PARAMETERS)
        parameters = request.query_params
        pages = stream_messages(
            viewer,
            with_id=parse_number(parameters.get("with"), "with"),
            after=parse_number(parameters.get("after"), "after"),
            before=parse_number(parameters.get("before"), "before"),
            limit=parse_number(parameters.get("limit"), "limit"),
        )

        def encode(message: StoredMessage) -> bytes:
            return _encoder.encode(shape(message, ctx.file_urls))

        # Two pages are read before the status goes out: until then an error can still be one.
        # Not `()` for none: CPython 3.11 raises a SystemError when the default is a tuple.
        first: Page = await anext(pages, [])
        second: Page = await anext(pages, [])
        if not second:
            whole = _encoder.encode([shape(message, ctx.file_urls) for message in first])
            if len(whole) <= CHUNK_BYTES:  # most are: one write, with a Content-Length
                return Response(whole, media_type="application/json")

        async def write() -> AsyncGenerator[bytes, None]:
            page, following = first, second
            chunk, separator = b"[", b""
            async with aclosing(pages):
                while page:
                    for row in map(encode, page):
                        if len(chunk) + len(separator) + len(row) > CHUNK_BYTES:
                            yield chunk
                            chunk = b""
                        chunk += separator + row
                        separator = b","
                    try:
                        page, following = following, await anext(pages, [])
                    except ParleyError as error:
                        cut_off(request.scope, error)
                        return
            yield chunk + b"]"

        return StreamingResponse(write(), media_type="application/json")

    return endpoint
