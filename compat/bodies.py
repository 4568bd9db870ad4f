"""The bodies of older clients, and their fields. Each `parse_*` raises BadInput for a bad value."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from db.models import MessageKind
from resolvers.context import Context
from resolvers.errors import BadInput, NotFound, PayloadTooLarge
from resolvers.guards.validation import check_text, find_id
from server.json_input import read_json
from server.multipart import MAX_CONTENT_TYPE

Body = Mapping[str, Any]

# The names by which older clients call a message's receiver.
RECEIVER_FIELDS = ("toUserId", "receiverId", "to_user_id", "receiver_id")
MAX_FORM_FIELDS = 100


async def read_body(ctx: Context, request: Request) -> Body:
    """Return the fields of a JSON or form body. Raises BadInput, PayloadTooLarge."""
    if len(request.headers.get("content-type", "")) > MAX_CONTENT_TYPE:
        raise BadInput("The Content-Type is too long")
    content = await _read_bytes(request, ctx.settings.max_body_bytes)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        return _read_urlencoded(content)
    if media_type == "multipart/form-data":
        return await _read_multipart(request, content)
    # Any other type is read as JSON: some older clients send JSON without a Content-Type.
    try:
        body = read_json(content) if content.strip() else {}
    except (ValueError, RecursionError) as error:
        raise BadInput("The body is not valid JSON") from error
    if not isinstance(body, dict):
        raise BadInput("The body must be a JSON object")
    return body


async def _read_bytes(request: Request, max_bytes: int) -> bytes:
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > max_bytes:
                raise PayloadTooLarge(
                    f"The body is larger than {max_bytes} bytes", setting="MAX_BODY_BYTES"
                )
    except ClientDisconnect as error:
        content.clear()  # the error's traceback keeps it until the garbage collector runs
        raise BadInput("The body was cut short") from error
    return bytes(content)


def _read_urlencoded(content: bytes) -> Body:
    # Not by Starlette, which reads text as Latin-1 that is not percent-encoded (as by `curl -d`).
    try:
        fields = parse_qsl(
            content.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError as error:
        raise BadInput("The form is malformed") from error
    return dict(fields)


async def _read_multipart(request: Request, content: bytes) -> Body:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": content, "more_body": False}

    try:
        form = await Request(request.scope, receive).form(max_files=0, max_fields=MAX_FORM_FIELDS)
        return {name: value for name, value in form.items() if not isinstance(value, UploadFile)}
    except HTTPException as error:
        raise BadInput(f"The form is malformed: {error.detail}") from error
    except ValueError as error:
        raise BadInput("The form is malformed") from error


def parse_text(body: Body, name: str, label: str) -> str:
    """Return a field that must be text."""
    value = body.get(name)
    if value is None or value == "":
        raise BadInput(f"{label} is required")
    if not isinstance(value, str):
        raise BadInput(f"{label} must be a string")
    check_text(value, label)
    return value


def parse_optional_text(body: Body, name: str) -> str | None:
    """Return a field that is text when it is there."""
    value = body.get(name)
    if value is None or isinstance(value, str):
        return value
    raise BadInput(f"{name} must be a string")


def parse_receiver(body: Body) -> int | None:
    """Return the receiver's id; None for everybody. Raises NotFound for what no id can be.

    An empty field is refused: a client whose variable is empty must not send to everybody. Fields
    that name two different receivers are refused too.
    """
    named = {
        _parse_id(body[name], f"{name} must be a user's id", "Receiver not found")
        for name in RECEIVER_FIELDS
        if body.get(name) is not None
    }
    if len(named) > 1:
        raise BadInput("The message has two receivers")
    return next(iter(named), None)


def parse_user(body: Body) -> int:
    """Return `userId`. Raises NotFound for what no id can be."""
    return _parse_id(body.get("userId"), "userId must be a user's id", "User not found")


def parse_attachment(body: Body) -> int | None:
    """Return the attachment's id when there is one. Raises NotFound for what no id can be."""
    value = body.get("attachmentId")
    if value is None or value == "":
        return None
    return _parse_id(value, "attachmentId must be an attachment's id", "Attachment not found")


def _parse_id(value: Any, refusal: str, missing: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise BadInput(refusal)
    id_ = find_id(value)
    if id_ is None:
        raise NotFound(missing)
    return id_


def parse_content(body: Body) -> str:
    """Return the message's content: required, unless there is an attachment to caption."""
    if parse_attachment(body) is None:
        return parse_text(body, "content", "Content")
    return parse_optional_text(body, "content") or ""


def parse_kind(body: Body) -> MessageKind | None:
    """Return the message's kind; None when there is none."""
    value = body.get("kind")
    if value is None or value == "":
        return None
    try:
        return MessageKind(value.upper() if isinstance(value, str) else value)
    except ValueError as error:
        raise BadInput(f"kind must be one of {', '.join(MessageKind)}") from error


def parse_position(body: Body, name: str) -> int | None:
    """Return a position of the log, 0 for its beginning; None when the field is not there."""
    value = body.get(name)
    if value is None:
        return None
    position = None
    if isinstance(value, int | str) and not isinstance(value, bool):
        position = 0 if str(value) == "0" else find_id(value)
    if position is None:
        raise BadInput(f"{name} is not a message's id")
    return position


def parse_number(text: str | None, name: str) -> int | None:
    """Return a query parameter that is a whole number when it is there."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadInput(f"{name} must be a whole number")
    return int(text)
