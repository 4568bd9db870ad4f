"""The tables."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Field, SQLModel

# SQLite only counts up an INTEGER primary key; MySQL needs the 64 bits said.
BigId = BigInteger().with_variant(Integer, "sqlite")

# A byte for each value. MySQL needs a length: its BLOBs have none that could be compared.
Waveform = LargeBinary().with_variant(mysql.VARBINARY(100), "mysql", "mariadb")
Digest = LargeBinary().with_variant(mysql.VARBINARY(32), "mysql", "mariadb")

# `utf8mb4_bin` exists on every MySQL and MariaDB and compares exactly: `é` is not `e`.
# Each table says so, since the default of a server or a database may be latin1.
TABLE_OPTIONS: dict[str, Any] = {
    f"{engine}_{option}": value
    for engine in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}

# Without this, SQLite gives the id of a removed row to the next row. A sweep that has just removed
# a file would forget another file's row, and an old signed address would open another attachment.
COUNTED_OPTIONS: dict[str, Any] = {**TABLE_OPTIONS, "sqlite_autoincrement": True}


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC time with microseconds; both engines store it without a zone."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        # MySQL's DATETIME drops the fraction unless it is told how many digits to keep.
        kept: TypeEngine[Any] = DateTime() if dialect.name == "sqlite" else mysql.DATETIME(fsp=6)
        return dialect.type_descriptor(kept)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.replace(tzinfo=UTC)


def _column(type_: Any, *constraints: Any, nullable: bool = False, **options: Any) -> Any:
    return Field(sa_column=Column(type_, *constraints, nullable=nullable, **options))


def _reference(key: str, target: str = "users.id", **options: Any) -> Any:
    """A column that names a row of another table; `key` is the name of the foreign key."""
    return _column(BigId, ForeignKey(target, name=key), **options)


def _key_reference(key: str, target: str = "users.id") -> Any:
    """The same, as a part of the primary key."""
    return _reference(key, target, primary_key=True, autoincrement=False)


class User(SQLModel, table=True):
    """Someone who can log in."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("email", name="uq_users_email"),
        Index("ix_users_invisible", "invisible", "id"),
        Index("ix_users_receipts", "read_receipts", "id"),
        TABLE_OPTIONS,
    )

    id: int = _column(BigId, primary_key=True)
    email: str = _column(String(254))
    display_name: str = _column(String(100))
    # Case-folded, so that a search finds "Ünal" by "ünal" on both engines alike.
    search_name: str = _column(String(300))
    password_hash: str = _column(String(255))
    created_at: datetime = _column(UTCDateTime())
    last_seen_at: datetime | None = _column(UTCDateTime(), nullable=True)
    is_admin: bool = _column(Boolean(), server_default=false())
    disabled_at: datetime | None = _column(UTCDateTime(), nullable=True)
    # The row stays, so that what they wrote still has a sender.
    deleted_at: datetime | None = _column(UTCDateTime(), nullable=True)
    # Tokens without a session that were issued before this are good no more.
    tokens_from: datetime | None = _column(UTCDateTime(), nullable=True)
    # The bytes of all their attachments, changed in the transaction that changes those.
    stored_bytes: int = _column(BigInteger(), server_default="0")
    # The log's head when they registered; 0 for accounts of before this was kept.
    joined_position: int = _column(BigId, server_default=text("0"))
    # Up to where their clients were sent the log: one mark for all conversations.
    delivered_position: int = _column(BigId, server_default=text("0"))
    # Whether others see their marks, and they those of others.
    read_receipts: bool = _column(Boolean(), server_default=true())
    status_text: str = _column(String(140), server_default="")
    # Names a row of `avatars`; no reference, since that row names its owner.
    avatar_key: str | None = _column(String(32), nullable=True)
    # Shown offline to everybody else.
    invisible: bool = _column(Boolean(), server_default=false())


class SessionRow(SQLModel, table=True):
    """A login that goes on; its tokens name it. It ends when its row is removed."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_user", "user_id", "id"),
        Index("ix_sessions_expires", "expires_at"),
        # Tokens may outlive their session: its id must never name another one.
        COUNTED_OPTIONS,
    )

    id: int = _column(BigId, primary_key=True)
    user_id: int = _reference("fk_sessions_user")
    created_at: datetime = _column(UTCDateTime())
    last_seen_at: datetime = _column(UTCDateTime())
    expires_at: datetime = _column(UTCDateTime())
    agent: str = _column(String(200))
    address: str = _column(String(64))


class FamiliarAddress(SQLModel, table=True):
    """An address from which an account's owner came in lately: strangers cannot lock it out."""

    __tablename__ = "familiar_addresses"
    __table_args__ = (Index("ix_familiar_addresses_seen", "seen_at"), TABLE_OPTIONS)

    user_id: int = _key_reference("fk_familiar_addresses_user")
    # As the limits count it: the IPv4 address, or the /64 of IPv6.
    address: str = _column(String(64), primary_key=True)
    seen_at: datetime = _column(UTCDateTime())


class Message(SQLModel, table=True):
    """A message; its id is the position of its creation in the log."""

    __tablename__ = "messages"
    __table_args__ = (
        # Promise 4: a retry with the same key is the same message. NULLs do not collide.
        UniqueConstraint("sender_id", "client_message_id", name="uq_messages_client_message_id"),
        # Each way of reading history is one range of one of these, whatever the table's size.
        Index("ix_messages_conversation", "conversation_id", "id"),
        Index("ix_messages_sender", "sender_id", "id"),
        Index("ix_messages_receiver", "receiver_id", "id"),
        TABLE_OPTIONS,
    )

    id: int = _column(BigId, primary_key=True, autoincrement=False)
    sender_id: int = _reference("fk_messages_sender")
    receiver_id: int | None = _reference("fk_messages_receiver", nullable=True)
    kind: str = _column(String(8))
    content: str = _column(Text)
    client_message_id: str | None = _column(String(128), nullable=True)
    created_at: datetime = _column(UTCDateTime())
    # No reference: to check one costs each message a lock on the conversation's row.
    conversation_id: int = _column(BigId, server_default=text("0"))
    edited_at: datetime | None = _column(UTCDateTime(), nullable=True)
    # The row stays: it keeps the message's place, and its key from being used again.
    deleted_at: datetime | None = _column(UTCDateTime(), nullable=True)
    reply_to_id: int | None = _column(BigId, nullable=True)
    # Of what was sent, once the row says something else: a retry is told by it.
    original_hash: bytes | None = _column(Digest, nullable=True)
    # Whether anybody has reacted to it: for the others nobody looks.
    reacted: bool = _column(Boolean(), server_default=false())
    # The sender's custom data. Without any, the row has a bit for it at most.
    metadata_json: str | None = _column(Text, nullable=True)


class Conversation(SQLModel, table=True):
    """Where messages belong: between two people, among the members of a group, or everybody's."""

    __tablename__ = "conversations"
    __table_args__ = (
        UniqueConstraint("lower_user_id", "higher_user_id", name="uq_conversations_pair"),
        COUNTED_OPTIONS,
    )

    id: int = _column(BigId, primary_key=True)
    kind: str = _column(String(9))
    # The two people of a direct conversation, the lower id first; NULL for all others.
    lower_user_id: int | None = _column(BigId, nullable=True)
    higher_user_id: int | None = _column(BigId, nullable=True)
    title: str | None = _column(String(100), nullable=True)
    # Whether new members of a group see what was written before they joined.
    shows_earlier: bool = _column(Boolean())
    # The attachment that is a group's picture. No reference: it is kept while it is this.
    avatar_id: int | None = _column(BigId, nullable=True)
    created_at: datetime = _column(UTCDateTime())
    # Where somebody left the group, the last time; 0 for never. Who has left is shown the messages
    # up to here as they were then (db/groups/leaving.py).
    last_left_position: int = _column(BigId, server_default=text("0"))


class Member(SQLModel, table=True):
    """A user's part in a conversation: role, what they may see, their marks and settings."""

    __tablename__ = "members"
    __table_args__ = (
        Index("ix_members_activity", "user_id", "archived", "pinned", "activity"),
        # A user's groups, whatever number of other conversations they have.
        Index("ix_members_groups", "user_id", "is_group"),
        TABLE_OPTIONS,
    )

    conversation_id: int = _key_reference("fk_members_conversation", "conversations.id")
    user_id: int = _key_reference("fk_members_user")
    role: str = _column(String(6))
    joined_position: int = _column(BigId)
    left_position: int | None = _column(BigId, nullable=True)
    # About where the conversation's last message is (docs/decisions/0017-conversations.md).
    activity: int = _column(BigId)
    read_position: int = _column(BigId)
    muted_until: datetime | None = _column(UTCDateTime(), nullable=True)
    archived: bool = _column(Boolean())
    pinned: bool = _column(Boolean())
    is_group: bool = _column(Boolean(), server_default=false())
    # A group's member sees what lies past this one: where they joined, or 0. Who joins again sees
    # nothing from between, and nothing from before, except what they wrote.
    sees_after: int = _column(BigId, server_default=text("0"))
    # When they joined the group, the last time; NULL in other conversations.
    joined_at: datetime | None = _column(UTCDateTime(), nullable=True)
    # The group as it was when they left it, once they have.
    left_title: str | None = _column(String(100), nullable=True)
    left_avatar_id: int | None = _column(BigId, nullable=True)
    left_shows_earlier: bool | None = _column(Boolean(), nullable=True)


class File(SQLModel, table=True):
    """Content that was uploaded, kept once; the store has its bytes under `name`.

    Without `sha256` the bytes are not in the store yet, or no more. After a day the sweep claims
    such a row by a negative `size`, and removes it.
    """

    __tablename__ = "files"
    __table_args__ = (
        # With the type: an image that was sent as a plain file is never shown as an image.
        UniqueConstraint("sha256", "media_type", name="uq_files_sha256_media_type"),
        COUNTED_OPTIONS,
    )

    id: int = _column(BigId, primary_key=True)
    # No other row has it: removing this file never removes what a later upload has put.
    name: str = _column(String(120))
    sha256: str | None = _column(String(64), nullable=True)
    size: int = _column(BigId)
    media_type: str = _column(String(100))
    width: int | None = _column(Integer, nullable=True)
    height: int | None = _column(Integer, nullable=True)
    duration_ms: int | None = _column(Integer, nullable=True)
    waveform: bytes | None = _column(Waveform, nullable=True)
    thumbnail_size: int | None = _column(Integer, nullable=True)
    created_at: datetime = _column(UTCDateTime())


class Attachment(SQLModel, table=True):
    """An upload of somebody's, under the name they gave it; its content is a File."""

    __tablename__ = "attachments"
    __table_args__ = (
        Index("ix_attachments_owner_sent", "owner_id", "sent_at"),
        Index("ix_attachments_sent_created", "sent_at", "created_at"),
        Index("ix_attachments_file", "file_id"),
        COUNTED_OPTIONS,
    )

    id: int = _column(BigId, primary_key=True)
    owner_id: int = _reference("fk_attachments_owner")
    file_id: int = _reference("fk_attachments_file", "files.id")
    kind: str = _column(String(8))
    filename: str = _column(String(255))
    # When it was first sent. Until then only its owner sees it, and after a day it is swept.
    sent_at: datetime | None = _column(UTCDateTime(), nullable=True)
    created_at: datetime = _column(UTCDateTime())


class MessageAttachment(SQLModel, table=True):
    """Which messages carry an attachment; a row only for those that do."""

    __tablename__ = "message_attachments"
    __table_args__ = (
        Index("ix_message_attachments_attachment", "attachment_id", "message_id"),
        TABLE_OPTIONS,
    )

    message_id: int = _key_reference("fk_message_attachments_message", "messages.id")
    attachment_id: int = _reference("fk_message_attachments_attachment", "attachments.id")


class Block(SQLModel, table=True):
    """One user has blocked another. While the row exists, neither reaches the other."""

    __tablename__ = "blocks"
    __table_args__ = (Index("ix_blocks_blocked", "blocked_id", "blocker_id"), TABLE_OPTIONS)

    blocker_id: int = _key_reference("fk_blocks_blocker")
    blocked_id: int = _key_reference("fk_blocks_blocked")
    created_at: datetime = _column(UTCDateTime())


class LogHead(SQLModel, table=True):
    """One row: the last position taken. Its lock makes commit order the order of positions."""

    __tablename__ = "log_head"
    __table_args__ = TABLE_OPTIONS

    id: int = _column(Integer, primary_key=True, autoincrement=False)
    position: int = _column(BigId)
    # The last position of a fact that decides who may send.
    control_position: int = _column(BigId, server_default=text("0"))
    # Random. A log that has lost positions gets another epoch, so that clients notice.
    epoch: str = _column(String(32), server_default="")
    # Who may write to everybody: BROADCAST of the server that started last.
    broadcast: str | None = _column(String(8), nullable=True)
    # Up to here facts that users are shown may have been removed, after LOG_KEPT_DAYS.
    pruned_position: int = _column(BigId, server_default=text("0"))


class LogRow(SQLModel, table=True):
    """A fact other than a message, at its position in the log (events/facts.py)."""

    __tablename__ = "log"
    __table_args__ = (Index("ix_log_conversation", "conversation_id", "position"), TABLE_OPTIONS)

    position: int = _column(BigId, primary_key=True, autoincrement=False)
    kind: str = _column(String(32))
    actor_id: int | None = _column(BigId, nullable=True)
    audience: str = _column(Text)
    body: str = _column(Text)
    created_at: datetime = _column(UTCDateTime())
    # Whose members are shown the fact, if it is for the members of a conversation.
    conversation_id: int | None = _column(BigId, nullable=True)
