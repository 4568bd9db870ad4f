"""The immutable records in which rows leave this room."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlmodel import SQLModel

# The one conversation of everybody: broadcasts.
EVERYBODY_ID = 1


class ConversationKind(StrEnum):
    """Whose a conversation is."""

    DIRECT = "DIRECT"
    GROUP = "GROUP"
    EVERYBODY = "EVERYBODY"


class MemberRole(StrEnum):
    """What a member may do in a conversation."""

    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"


class MessageKind(StrEnum):
    """What a message's content is."""

    TEXT = "TEXT"
    EMOJI = "EMOJI"
    IMAGE = "IMAGE"
    FILE = "FILE"
    VOICE = "VOICE"


def utc_from(stored: datetime | str) -> datetime:
    """Return a time as a driver reads it: MySQL's makes it a datetime, SQLite's leaves the text."""
    moment = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return moment.replace(tzinfo=UTC)


def columns(record: type[msgspec.Struct], *tables: type[SQLModel]) -> tuple[Any, ...]:
    """Return the columns that hold a record's fields, each of the first table that has it."""
    found: dict[str, Any] = {}
    for table in reversed(tables):
        held = table.model_fields.keys() & record.__struct_fields__
        found |= {name: getattr(table, name) for name in held}
    return tuple(found[name] for name in record.__struct_fields__ if name in found)


class StoredSession(msgspec.Struct, frozen=True, gc=False):
    """A session that goes on."""

    id: int
    user_id: int
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    agent: str
    address: str


class Content(msgspec.Struct, frozen=True, gc=False):
    """What is known of a file's content."""

    name: str  # in the store
    sha256: str
    size: int
    media_type: str
    width: int | None
    height: int | None
    duration_ms: int | None
    waveform: bytes | None  # a byte a value, each 0 to 100
    thumbnail_size: int | None

    @property
    def stored_bytes(self) -> int:
        """What it takes in the store, with the small picture of it."""
        return self.size + (self.thumbnail_size or 0)


class StoredAttachment(Content, frozen=True, gc=False):
    """An attachment with what is known of its content."""

    id: int
    owner_id: int
    filename: str
    created_at: datetime
    kind: MessageKind


class Reactions(msgspec.Struct, frozen=True, gc=False):
    """All reactions to a message with one emoji."""

    emoji: str
    number: int  # their order among the message's
    count: int
    first_users: tuple[int, ...]  # in the order in which they reacted


class StoredMessage(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A committed message, as everything outside `db` sees it."""

    id: int
    sender_id: int
    receiver_id: int | None
    kind: MessageKind
    content: str
    client_message_id: str | None
    created_at: datetime
    conversation_id: int
    attachment: StoredAttachment | None = None
    edited_at: datetime | None = None
    # Since then it has no content, and shows no attachment.
    deleted_at: datetime | None = None
    reply_to_id: int | None = None
    reacted: bool = False  # whether anybody has, since it was stored
    metadata_json: str | None = None  # the sender's custom data, until the message is deleted
    # The reactions to it, where they are not those of now: its reader has left the group.
    kept_reactions: tuple[Reactions, ...] | None = None

    @property
    def is_of_group(self) -> bool:
        """Whether it is of a group, and so neither direct nor to everybody."""
        return self.receiver_id is None and self.conversation_id != EVERYBODY_ID


class StoredUser(msgspec.Struct, frozen=True, gc=False):
    """A user, without the password's hash."""

    id: int
    email: str
    display_name: str
    created_at: datetime
    last_seen_at: datetime | None
    status_text: str = ""
    avatar_key: str | None = None


class StoredAvatar(msgspec.Struct, frozen=True, gc=False):
    """A profile picture that is in use."""

    key: str
    large_size: int
    small_size: int

    @property
    def stored_bytes(self) -> int:
        """What both sizes take in the store."""
        return self.large_size + self.small_size
