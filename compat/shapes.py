"""The older payloads. Ids are numbers; fields may be added, none is renamed."""

from datetime import datetime
from typing import TypedDict

from db.models import StoredMessage, StoredUser


class UserShape(TypedDict):
    """server →: oneself, after registering or logging in."""

    id: int
    email: str
    displayName: str


class MessageShape(TypedDict):
    """server →: a message, in REST answers, acknowledgements and `message:new`."""

    id: int
    senderId: int
    receiverId: int | None
    content: str
    createdAt: datetime
    kind: str
    clientMessageId: str | None


class MessageRow(TypedDict):
    """server →: a message as `GET /api/message/all-message` shows it, like a database row."""

    id: int
    sender_id: int
    receiver_id: int | None
    content: str
    created_at: datetime
    kind: str


class ErrorShape(TypedDict):
    """server →: why something failed, in acknowledgements and `message:error`."""

    error: str
    code: str


def user_shape(user: StoredUser) -> UserShape:
    """Return oneself."""
    return {"id": user.id, "email": user.email, "displayName": user.display_name}


def message_shape(message: StoredMessage) -> MessageShape:
    """Return a message."""
    return {
        "id": message.id,
        "senderId": message.sender_id,
        "receiverId": message.receiver_id,
        "content": message.content,
        "createdAt": message.created_at,
        "kind": message.kind.value,
        "clientMessageId": message.client_message_id,
    }


def message_row(message: StoredMessage) -> MessageRow:
    """Return a message as the older server's undocumented route shows it."""
    return {
        "id": message.id,
        "sender_id": message.sender_id,
        "receiver_id": message.receiver_id,
        "content": message.content,
        "created_at": message.created_at,
        "kind": message.kind.value,
    }
