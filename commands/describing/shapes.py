"""The payloads of the older wire as JSON Schema, from the types that the code answers with."""

from typing import Any

import msgspec

from compat.errors import STATUS
from compat.shapes import (
    AttachmentShape,
    EditShape,
    LoginShape,
    MessageRow,
    MessageShape,
    OtherShape,
    UserShape,
)
from db.models import MessageKind
from resolvers.errors import Code
from resolvers.guards.validation import LARGEST_ID, MAX_CLIENT_MESSAGE_ID, MAX_EMAIL
from resolvers.server_info import LIMITS
from settings import Rate, Settings

Schema = dict[str, Any]

SHAPES = (
    AttachmentShape,
    EditShape,
    LoginShape,
    MessageRow,
    MessageShape,
    OtherShape,
    UserShape,
)
TEMPLATE = "#/components/schemas/{name}"
OTHER_NAMES = {
    "AttachmentShape": "Attachment",
    "EditShape": "Edit",
    "LoginShape": "Login",
    "MessageRow": "MessageRow",
    "MessageShape": "Message",
    "OtherShape": "OtherUser",
    "UserShape": "User",
}
MOMENT = {"type": "string", "format": "date-time"}
MOMENTS = {"createdAt", "created_at", "editedAt", "expiresAt"}
KIND: Schema = {"enum": [kind.value for kind in MessageKind]}
# An id that a client sends: a number, or the same as text.
ID: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": LARGEST_ID},
        {"type": "string", "pattern": "^[0-9]{1,19}$"},
    ]
}
EMAIL: Schema = {"type": "string", "format": "email", "maxLength": MAX_EMAIL}
TEXT: Schema = {"type": "string", "minLength": 1}
SENDING: Schema = {
    "content": {
        "type": "string",
        "description": "The text, not blank; with an attachment its caption, which may be empty.",
    },
    "kind": {
        "anyOf": [KIND, {"type": "null"}],
        "description": "Left out, emoji alone are EMOJI, and all else is TEXT.",
    },
    "attachmentId": {"anyOf": [ID, {"type": "null"}]},
    "clientMessageId": {
        "anyOf": [
            {"type": "string", "minLength": 1, "maxLength": MAX_CLIENT_MESSAGE_ID},
            {"type": "null"},
        ],
        "description": "A key of the client's own: a retry under it is the same message.",
    },
}


def ref(name: str) -> Schema:
    """Return the reference to a schema."""
    return {"$ref": TEMPLATE.format(name=name)}


def record(properties: Schema, *, required: tuple[str, ...] = (), description: str = "") -> Schema:
    """Return the schema of an object with these fields, and perhaps others later."""
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = [*required]
    return {"description": description, **schema} if description else schema


def schemas() -> dict[str, Schema]:
    """Return every schema by its name."""
    _, found = msgspec.json.schema_components(SHAPES, ref_template=TEMPLATE)
    named = {OTHER_NAMES[name]: _tidied(schema) for name, schema in found.items()}
    return dict(sorted({**named, "Rate": _RATE, "Limits": _limits()}.items()))


def error(reason: str) -> Schema:
    """Return the schema of an error; `reason` is the field of its text."""
    return record(
        {
            reason: {"type": "string"},
            "code": {"enum": [code.value for code in Code]},
            "retryAfterMs": {"type": "integer", "minimum": 0},
            # REST says it in the header X-Request-ID of the answer.
            **({"requestId": {"type": "string"}} if reason == "error" else {}),
        },
        required=(reason, "code"),
        description="Why it failed. The code is of a closed list; the text may change.",
    )


def status_of(code: Code) -> int:
    """Return the HTTP status of an error."""
    return STATUS[code]


_RATE = record(
    {"amount": {"type": "integer"}, "seconds": {"type": "integer"}},
    required=("amount", "seconds"),
    description="So many in any window of so many seconds.",
)


def _limits() -> Schema:
    limits = {}
    for name in LIMITS:
        first, *others = name.split("_")
        field = Settings.model_fields[name]
        is_rate = isinstance(field.default, Rate)
        camel = first + "".join(word.capitalize() for word in others)
        limits[camel] = ref("Rate") if is_rate else {"type": "number"}
    return record(
        {"enforced": {"type": "boolean"}, **limits},
        required=("enforced", *limits),
        description="Every limit, by the name of its setting.",
    )


def _tidied(schema: Any) -> Any:
    """Return a schema of msgspec's as this document has it: our names, kinds and moments."""
    if isinstance(schema, list):
        return [_tidied(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {name: _tidied(value) for name, value in schema.items() if name != "title"}
    if "$ref" in tidied:
        return ref(OTHER_NAMES[tidied["$ref"].rpartition("/")[2]])
    if isinstance(tidied.get("description"), str):
        tidied["description"] = tidied["description"].removeprefix("server →: ").capitalize()
    for name, value in tidied.get("properties", {}).items():
        if name in MOMENTS and value == {"type": "string"}:
            tidied["properties"][name] = MOMENT
        elif name == "kind":
            tidied["properties"][name] = KIND
    return tidied
