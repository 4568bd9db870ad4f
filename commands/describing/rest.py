"""REST as an OpenAPI 3.1 document, from the routes and the types of `compat/`."""

from typing import Any, NamedTuple

from commands.describing.shapes import (
    EMAIL,
    ID,
    KIND,
    SENDING,
    TEXT,
    Schema,
    error,
    record,
    ref,
    schemas,
)
from compat.bodies import RECEIVER_FIELDS
from compat.rest.routes import ENDPOINTS, client_library

JSON, FORM, MULTIPART = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
)
REASONS = {
    400: "What was sent cannot be right, or contradicts what is stored",
    401: "No token, or one that is good no more",
    403: "Known, and not allowed",
    404: "No such thing, or hidden from the caller",
    413: "Beyond a stated size",
    416: "The file has no such range",
    429: "Too much at once; `Retry-After` says when to try again",
    503: "The service is unavailable for the moment; try again",
}
DONE = record({"message": {"type": "string"}}, required=("message",))
OTHER = record(
    {"message": {"type": "string"}, "user": ref("OtherUser")}, required=("message", "user")
)
OK = record(
    {
        "ok": {"type": "boolean"},
        "version": {"type": "string"},
        "message": {"type": "string"},
    },
    required=("ok",),
)
RECEIVERS = {name: {"anyOf": [ID, {"type": "null"}]} for name in RECEIVER_FIELDS}
PAGING = {
    "limit": "At most so many; with `after`, those that follow it directly.",
    "before": "Only messages with a lower id.",
    "after": "Only messages with a greater id.",
    "with": "Only the conversation with this user.",
}
BINARY: Schema = {"*/*": {"schema": {}}}


class Route(NamedTuple):
    """What a route takes and answers, beside what all routes do."""

    tag: str
    answer: Schema | None  # the schema of the JSON that is answered; None for a file
    status: int = 200
    body: Schema | None = None
    form: Schema | None = None  # a form with a file, in place of a body
    parameters: tuple[Schema, ...] = ()
    token: bool = True
    errors: tuple[int, ...] = ()
    statuses: tuple[int, ...] = ()  # more of them, without a body of JSON


def _query(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _header(name: str, description: str) -> Schema:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


_NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_PAGING = tuple(_query(name, said, _NUMBER) for name, said in PAGING.items())
_FILE = (
    _path("id", {"type": "string"}),
    _query("expires", "With `signature`: an address that needs no token.", {"type": "string"}),
    _query("signature", "As `url` and `thumbnailUrl` have it.", {"type": "string"}),
    _header("Range", "One range of bytes."),
    _header("If-None-Match", "The `ETag` of what the client has."),
    _header("If-Range", "The `ETag` that `Range` is of."),
)
_AVATAR = (
    _path("key", {"type": "string"}),
    _path("side", {"enum": ["64", "256"]}),
    _header("If-None-Match", "The `ETag` of what the client has."),
)
_CREDENTIALS = record({"email": EMAIL, "password": TEXT}, required=("email", "password"))
_REGISTRATION = record(
    {"email": EMAIL, "password": TEXT, "displayName": TEXT},
    required=("email", "password", "displayName"),
)
_REGISTERED = record(
    {"message": {"type": "string"}, "userId": {"type": "integer"}, "user": ref("User")},
    required=("message", "userId", "user"),
)
_PASSWORDS = record(
    {"currentPassword": TEXT, "newPassword": TEXT}, required=("currentPassword", "newPassword")
)
_CHANGED: Schema = {"allOf": [DONE, ref("Login")]}
_SEND = Route(
    "messages",
    ref("Message"),
    201,
    body=record({**SENDING, **RECEIVERS}),
    parameters=(_header("Idempotency-Key", "The same as `clientMessageId`; it wins."),),
    errors=(403, 404),
)
_UPLOAD = record({"file": {"type": "string", "format": "binary"}, "kind": KIND}, required=("file",))
_USER = record({"userId": ID}, required=("userId",))


def _list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _history(name: str) -> Route:
    return Route("messages", _list_of(ref(name)), parameters=_PAGING)


ROUTES = {
    "/api/limits": Route("server", ref("Limits"), token=False),
    "/api/auth/register": Route(
        "accounts", _REGISTERED, body=_REGISTRATION, token=False, errors=(403,)
    ),
    "/api/auth/login": Route(
        "accounts", ref("Login"), body=_CREDENTIALS, token=False, errors=(403,)
    ),
    "/api/auth/logout": Route("accounts", DONE),
    "/api/auth/logout-everywhere": Route("accounts", DONE),
    "/api/auth/renew": Route("accounts", ref("Login")),
    "/api/auth/change-password": Route("accounts", _CHANGED, body=_PASSWORDS, errors=(403,)),
    "/api/messages": _history("Message"),
    "/api/messages/send": _SEND,
    "/api/message/send": _SEND,
    "/api/message/all-message": _history("MessageRow"),
    "/api/uploads": Route("files", ref("Attachment"), 201, form=_UPLOAD, errors=(403,)),
    "/api/users/block": Route("blocks", OTHER, body=_USER, errors=(403, 404)),
    "/api/users/unblock": Route("blocks", OTHER, body=_USER, errors=(404,)),
    "/api/users/blocked": Route("blocks", _list_of(ref("OtherUser"))),
    "/health": Route("server", OK, token=False),
    "/ready": Route("server", OK, token=False),
    "/files/{id}": Route("files", None, parameters=_FILE, errors=(404, 416), statuses=(206, 304)),
    "/files/{id}/thumbnail": Route(
        "files", None, parameters=_FILE, errors=(404, 416), statuses=(206, 304)
    ),
    "/avatars/{key}/{side}": Route(
        "files", None, parameters=_AVATAR, token=False, errors=(404,), statuses=(304,)
    ),
}


def openapi(version: str) -> Schema:
    """Return the document. Raises KeyError for a route that is not described here."""
    paths: dict[str, Schema] = {}
    for method, path, endpoint in ENDPOINTS:
        if endpoint is client_library:  # it only refuses, with where to look
            continue
        said = (endpoint.__doc__ or ROUTES[path].tag).strip().splitlines()[0]
        if path.endswith(("/messages", "/all-message")):
            said = "List what the caller may see, the newest first."
        elif path.endswith(("/block", "/unblock")):
            said = "Keep a user away." if path.endswith("/block") else "Keep them away no more."
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, said)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Parley: REST",
            "version": version,
            "description": (
                "The routes of the older Node.js server, which its clients speak unchanged."
                " docs/protocol.md says what they promise. A path may end in a slash. Answers may"
                " get more fields; no field is renamed."
            ),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**schemas(), "Error": error("message")},
            "responses": {f"Error{status}": _error(status) for status in REASONS},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _operation(method: str, path: str, said: str) -> Schema:
    route = ROUTES[path]
    errors = {400, 413, 429, 503, *route.errors} | ({401} if route.token else set())
    content = BINARY if route.answer is None else {JSON: {"schema": route.answer}}
    answers: dict[str, Schema] = {str(route.status): {"description": "Done", "content": content}}
    for status in route.statuses:
        answers[str(status)] = (
            {"description": "A part of the file", "content": BINARY}
            if status == 206
            else {"description": "The client has it"}
        )
    for status in errors:
        answers[str(status)] = {"$ref": f"#/components/responses/Error{status}"}
    if path == "/ready":
        answers["503"] = {"description": REASONS[503], "content": {JSON: {"schema": OK}}}
    operation: dict[str, Any] = {
        "operationId": _operation_id(method, path),
        "summary": said.removesuffix("."),
        "tags": [route.tag],
    }
    if route.parameters:
        operation["parameters"] = [*route.parameters]
    if route.body is not None:
        bodies = {kind: {"schema": route.body} for kind in (JSON, FORM)}
        operation["requestBody"] = {"required": True, "content": bodies}
    if route.form is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {MULTIPART: {"schema": route.form}},
        }
    operation["responses"] = dict(sorted(answers.items()))
    if route.token:
        # A file is opened by its signed address too.
        operation["security"] = [{"token": []}, {}] if route.answer is None else [{"token": []}]
    return operation


def _error(status: int) -> Schema:
    return {"description": REASONS[status], "content": {JSON: {"schema": ref("Error")}}}


def _operation_id(method: str, path: str) -> str:
    words = path.replace("{", "").replace("}", "").replace("-", "/").replace(".", "/").split("/")
    return method.lower() + "".join(word.capitalize() for word in words)
