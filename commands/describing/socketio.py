"""Socket.IO as an AsyncAPI 3 document, from the types of `compat/`."""

from typing import Any, NamedTuple

from commands.describing.shapes import (
    ID,
    MOMENT,
    SENDING,
    TEXT,
    Schema,
    error,
    record,
    ref,
    schemas,
)

CHANNEL = "#/channels/socket"


class Event(NamedTuple):
    """An event, in the one direction or the other, and its arguments."""

    name: str
    said: str
    arguments: tuple[Schema, ...] = ()
    acknowledged: bool = False
    optional: int = 0  # so many of the last arguments may be missing


_POSITION: Schema = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}
RECEIVED = (
    Event(
        "auth:login",
        "Log in. With `after`, the id of the last message that the client has seen, everything past"
        " it comes first.",
        (record({"token": TEXT, "after": _POSITION}, required=("token",)),),
    ),
    Event(
        "message:private",
        "Send a message to one user.",
        (record({"toUserId": ID, **SENDING}, required=("toUserId",)),),
        acknowledged=True,
    ),
    Event(
        "message:send",
        "Send a message to everybody.",
        (record(SENDING),),
        acknowledged=True,
    ),
)
SENT = (
    Event("auth:ok", "The login was good; messages follow."),
    Event(
        "auth:error",
        "The login failed, or the session has ended. With a second argument the client is to come"
        " back later; without one, to log in anew.",
        ({"type": "string"}, ref("Error")),
        optional=1,
    ),
    Event(
        "auth:expiring",
        "The token ends then: log in with a fresh one.",
        (record({"expiresAt": MOMENT}, required=("expiresAt",)),),
    ),
    Event("message:new", "A message that the user may see.", (ref("Message"),)),
    Event("message:edited", "A message that the client has says this now.", (ref("Edit"),)),
    Event(
        "message:deleted",
        "The message is gone.",
        (record({"id": {"type": "integer"}}, required=("id",)),),
    ),
    Event(
        "message:error",
        "A send without an acknowledgement callback failed.",
        (ref("Error"),),
    ),
    Event(
        "user:online",
        "Everybody who is online, after each arrival: it replaces what the client knew.",
        ({"type": "array", "items": {"type": "integer"}},),
    ),
    Event("user:offline", "Nobody of this user's is connected any more.", ({"type": "integer"},)),
)
ACKNOWLEDGED = "acknowledgement"


def asyncapi(version: str) -> Schema:
    """Return the document."""
    names = ("Attachment", "Edit", "Message")
    known = {name: schema for name, schema in schemas().items() if name in names}
    messages: dict[str, Schema] = {_key(event): _message(event) for event in (*RECEIVED, *SENT)}
    messages[ACKNOWLEDGED] = {
        "name": ACKNOWLEDGED,
        "title": "The acknowledgement of a send",
        "summary": "The stored message, or why it was not stored.",
        "payload": _arguments(Event("", "", ({"anyOf": [ref("Message"), ref("Error")]},))),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Parley: Socket.IO",
            "version": version,
            "description": (
                "The events of the older Node.js server, which its clients speak unchanged."
                " Socket.IO 4 over Engine.IO 4, by polling and websocket, on the default namespace."
                " A payload is the list of an event's arguments. docs/protocol.md says what the"
                " events promise."
            ),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"here": {"host": "localhost:3000", "protocol": "ws", "pathname": "/"}},
        "channels": {
            "socket": {
                "address": "/socket.io/",
                "title": "The default namespace",
                "messages": {
                    name: {"$ref": f"#/components/messages/{name}"} for name in sorted(messages)
                },
            }
        },
        "operations": {
            **{_key(event): _operation("receive", event) for event in RECEIVED},
            **{_key(event): _operation("send", event) for event in SENT},
        },
        "components": {"messages": messages, "schemas": {**known, "Error": error("error")}},
    }


def _key(event: Event) -> str:
    return event.name.replace(":", "_")


def _message(event: Event) -> Schema:
    return {
        "name": event.name,
        "title": event.name,
        "summary": event.said,
        "payload": _arguments(event),
    }


def _arguments(event: Event) -> Schema:
    return {
        "type": "array",
        "prefixItems": [*event.arguments],
        "minItems": len(event.arguments) - event.optional,
        "maxItems": len(event.arguments),
    }


def _operation(action: str, event: Event) -> Schema:
    operation: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": CHANNEL},
        "summary": event.said,
        "messages": [{"$ref": f"{CHANNEL}/messages/{_key(event)}"}],
    }
    if event.acknowledged:
        operation["reply"] = {
            "channel": {"$ref": CHANNEL},
            "messages": [{"$ref": f"{CHANNEL}/messages/{ACKNOWLEDGED}"}],
        }
    return operation
