"""The older payloads. Ids are numbers; fields may be added, none is renamed."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from db.models import StoredAttachment, StoredMessage, StoredUser
from resolvers.guards.file_urls import FileUrls, Part
from resolvers.people.sessions import LoggedIn
from resolvers.server_info import Limit
from server.moments import wire_moment


class UserShape(TypedDict):
    """server →: oneself, after registering or logging in."""

    id: int
    email: str
    displayName: str


class OtherShape(TypedDict):
    """server →: somebody else."""

    id: int
    displayName: str


class LoginShape(TypedDict):
    """server →: a token, and whose it is."""

    token: str
    expiresAt: str
    user: UserShape


class AttachmentShape(TypedDict):
    """server →: an attachment, alone or in a message."""

    id: int
    kind: str
    filename: str
    mediaType: str
    size: int
    sha256: str
    width: int | None
    height: int | None
    durationMs: int | None
    waveform: list[int] | None
    url: str
    thumbnailUrl: str | None
    createdAt: str


class MessageShape(TypedDict):
    """server →: a message, in REST answers, acknowledgements and `message:new`."""

    id: int
    senderId: int
    receiverId: int | None
    content: str
    createdAt: str
    kind: str
    clientMessageId: str | None
    attachment: AttachmentShape | None


class EditShape(TypedDict):
    """server →: another text of a message that was sent before, in `message:edited`."""

    id: int
    content: str
    editedAt: str


class MessageRow(TypedDict):
    """server →: a message as `GET /api/message/all-message` shows it, like a database row."""

    id: int
    sender_id: int
    receiver_id: int | None
    content: str
    created_at: str
    kind: str
    attachment: AttachmentShape | None


class ErrorShape(TypedDict):
    """server →: why something failed, in acknowledgements and `message:error`."""

    error: str
    code: str
    retryAfterMs: NotRequired[int]
    requestId: NotRequired[str]  # of the connection; over REST each answer's X-Request-ID says it


def user_shape(user: StoredUser) -> UserShape:
    """Return oneself."""
    return {"id": user.id, "email": user.email, "displayName": user.display_name}


def other_shape(user: StoredUser) -> OtherShape:
    """Return somebody else: without what only they may see."""
    return {"id": user.id, "displayName": user.display_name}


def attachment_shape(attachment: StoredAttachment, urls: FileUrls) -> AttachmentShape:
    """Return an attachment, with addresses that are good for a while."""
    return {
        "id": attachment.id,
        "kind": attachment.kind.value,
        "filename": attachment.filename,
        "mediaType": attachment.media_type,
        "size": attachment.size,
        "sha256": attachment.sha256,
        "width": attachment.width,
        "height": attachment.height,
        "durationMs": attachment.duration_ms,
        "waveform": None if attachment.waveform is None else [*attachment.waveform],
        "url": urls.url(Part(attachment.id)),
        "thumbnailUrl": (
            None
            if attachment.thumbnail_size is None
            else urls.url(Part(attachment.id, thumbnail=True))
        ),
        "createdAt": wire_moment(attachment.created_at),
    }


def _content(message: StoredMessage) -> str:
    # Clients that know nothing of attachments show this: the caption, or at least the name.
    if message.attachment is not None and not message.content:
        return message.attachment.filename
    return message.content


def _attached(message: StoredMessage, urls: FileUrls) -> AttachmentShape | None:
    return None if message.attachment is None else attachment_shape(message.attachment, urls)


def message_shape(message: StoredMessage, urls: FileUrls) -> MessageShape:
    """Return a message."""
    return {
        "id": message.id,
        "senderId": message.sender_id,
        "receiverId": message.receiver_id,
        "content": _content(message),
        "createdAt": wire_moment(message.created_at),
        "kind": message.kind.value,
        "clientMessageId": message.client_message_id,
        "attachment": _attached(message, urls),
    }


def edit_shape(message: StoredMessage) -> EditShape:
    """Return what an edit has changed."""
    edited_at = message.edited_at or message.created_at
    return {"id": message.id, "content": _content(message), "editedAt": wire_moment(edited_at)}


def message_row(message: StoredMessage, urls: FileUrls) -> MessageRow:
    """Return a message as the older server's undocumented route shows it."""
    return {
        "id": message.id,
        "sender_id": message.sender_id,
        "receiver_id": message.receiver_id,
        "content": _content(message),
        "created_at": wire_moment(message.created_at),
        "kind": message.kind.value,
        "attachment": _attached(message, urls),
    }


def limits_shape(limits: Mapping[str, Limit], *, enforced: bool) -> dict[str, Any]:
    """Return the limits under the names that they have in GraphQL."""
    shape: dict[str, Any] = {"enforced": enforced}
    for name, limit in limits.items():
        first, *others = name.split("_")
        camel = first + "".join(word.capitalize() for word in others)
        shape[camel] = limit._asdict() if isinstance(limit, tuple) else limit
    return shape


def login_shape(logged_in: LoggedIn) -> LoginShape:
    """Return what somebody who has come in is told."""
    return {
        "token": logged_in.issued.token,
        "expiresAt": wire_moment(logged_in.issued.expires_at),
        "user": user_shape(logged_in.user),
    }
