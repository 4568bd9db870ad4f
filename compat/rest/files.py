"""The REST routes for files: upload one; read an attachment or its thumbnail, on any client.

Byte ranges and conditions as in RFC 9110 (§13, §14), file names as in RFC 6266.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Scope

from compat.bodies import parse_kind
from compat.errors import JSONAnswer, cut_off
from compat.rest.routing import identify_caller
from compat.shapes import attachment_shape
from resolvers.attachments.files import OpenFile, open_attachment, read_file
from resolvers.attachments.forms import field_instead, receive_form
from resolvers.attachments.uploads import upload_attachment
from resolvers.context import Context
from resolvers.errors import BadInput, Code, NotFound, ParleyError
from resolvers.guards.file_urls import Part
from resolvers.guards.validation import find_id
from resolvers.people.auth import enter_request
from server.bearer import bearer_token
from server.multipart import MultipartBody
from server.parameters import TOO_MANY_PARAMETERS, has_too_many_parameters

# Shown in a page; what is of another type is only ever downloaded.
INLINE = frozenset(
    {
        *("image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"),
        *("audio/ogg", "audio/webm", "audio/mp4", "audio/mpeg", "audio/wav"),
        *("audio/aac", "audio/flac"),
        *("video/mp4", "video/webm"),
    }
)
# Nothing in a file runs, wherever a browser may show it; images and players show themselves.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline';"
        " frame-ancestors 'none'; sandbox"
    ),
    # Signed addresses are shown by pages of any origin.
    "Cross-Origin-Resource-Policy": "cross-origin",
}
MAX_CONDITION = 2048  # of `If-None-Match`: what is longer names something else
SIGNED_PARAMETERS = ("expires", "signature")
ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII | re.IGNORECASE)


async def upload(ctx: Context, request: Request) -> Response:
    """Keep the form's one file as an attachment."""
    viewer = await identify_caller(ctx, request)
    extension = request.scope.get("extensions", {}).get("parley.body")
    if extension is not None:  # another server than ours has none
        extension["streams"]()  # the body goes to the disk: do not count it as held in memory
    try:
        body = MultipartBody(request.headers, request.stream())
        async with receive_form(viewer, body, max_files=1) as form:
            if not form.files:
                wrong = next((name for name in form.fields if name != "kind"), None)
                hint = "" if wrong is None else f"; {field_instead(wrong)}"
                raise BadInput(f"The form has no file{hint}")
            [received] = form.files.values()
            if not (received.filename or received.size):
                raise BadInput("No file was chosen")  # a browser's form, sent without one
            kept = await upload_attachment(viewer, received, kind=parse_kind(form.fields))
    except ClientDisconnect as error:
        raise BadInput("The body was cut short") from error
    return JSONAnswer(attachment_shape(kept, ctx.file_urls), 201)


async def serve_file(ctx: Context, request: Request) -> Response:
    """Answer with an attachment or its thumbnail: the whole of it, or the range asked for."""
    thumbnail = request.scope["path"].endswith("/thumbnail")
    part = Part(find_id(request.path_params["id"]) or 0, thumbnail)
    left = None
    if has_too_many_parameters(request.scope["query_string"]):
        raise BadInput(TOO_MANY_PARAMETERS)
    parameters = request.query_params
    if "signature" in parameters:
        # We sign each parameter once. Of two, a proxy before us might read the other one.
        if all(len(parameters.getlist(name)) == 1 for name in SIGNED_PARAMETERS):
            left = ctx.file_urls.seconds_left(part, parameters)
        if left is None:
            raise NotFound("File not found")
    viewer = await enter_request(ctx, bearer_token(request.headers.get("authorization")))
    file = await open_attachment(viewer, part, signed=left is not None)
    tag = entity_tag(file.version)
    headers = {
        **SECURITY_HEADERS,
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": _disposition(file),
        # The content of an address never changes, but who may see it can.
        "Cache-Control": "private, no-cache" if left is None else f"private, max-age={left}",
        "Vary": "Authorization",
    }
    if is_known(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    # RFC 9110 §14.2: a range is only defined for GET.
    wanted = _range(request, file) if request.method == "GET" else None
    if wanted is None:
        return await _stream(ctx, request, file, range(file.size), 200, headers)
    if not wanted:
        headers["Content-Range"] = f"bytes */{file.size}"
        body = {"message": "The file has no such range", "code": Code.BAD_USER_INPUT.value}
        del headers["Content-Disposition"]
        return JSONAnswer(body, 416, headers)
    headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{file.size}"
    return await _stream(ctx, request, file, wanted, 206, headers)


async def _stream(
    ctx: Context,
    request: Request,
    file: OpenFile,
    part: range,
    status: int,
    headers: dict[str, str],
) -> Response:
    headers["Content-Length"] = str(len(part))
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=file.media_type)
    chunks = read_file(ctx, file, part.start, part.stop)
    # The first is read before the status goes out: an error can still be one.
    first = await anext(chunks, b"")
    body = _write(request.scope, first, chunks)
    return StreamingResponse(body, status, headers, media_type=file.media_type)


async def _write(
    scope: Scope, chunk: bytes, chunks: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(chunks):
        while chunk:
            yield chunk
            try:
                chunk = await anext(chunks, b"")
            except ParleyError as error:
                cut_off(scope, error)
                return


def _range(request: Request, file: OpenFile) -> range | None:
    """Return the one range that is asked for, empty when the file has none such; None for all."""
    condition = request.headers.get("if-range")
    matched = ONE_RANGE.fullmatch(request.headers.get("range", "").strip())
    if matched is None or condition not in {None, entity_tag(file.version)}:
        return None  # several ranges, or another unit: a server may answer with all there is
    first, last = matched.groups()
    if len(first) > 18 or len(last) > 18 or not (first or last):
        return None
    if not first:
        return range(max(0, file.size - int(last)), file.size)
    if last and int(last) < int(first):
        return None  # invalid, so it is as if it were not there (§14.2)
    return range(int(first), min(file.size, int(last) + 1) if last else file.size)


def entity_tag(version: str) -> str:
    """Return the `ETag` of a content (RFC 9110 §8.8.3)."""
    return f'"{version}"'


def is_known(header: str | None, etag: str) -> bool:
    """Whether `If-None-Match` names what we have."""
    if header is None or len(header) > MAX_CONDITION:
        return False
    known = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in known or etag in known


def _disposition(file: OpenFile) -> str:
    filename = file.attachment.filename
    if file.name != file.attachment.name:  # the thumbnail's
        filename = f"{filename.rpartition('.')[0] or filename}.webp"
    shown = "inline" if file.media_type in INLINE else "attachment"
    plain = filename.encode("ascii", errors="replace").decode()
    plain = "".join("_" if c in '"\\%?' else c for c in plain)
    return f"{shown}; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
