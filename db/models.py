"""The tables, and the immutable records in which their rows leave this room."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Field, SQLModel

# SQLite only counts up an INTEGER primary key; MySQL needs the 64 bits said.
BigId = BigInteger().with_variant(Integer, "sqlite")

# `utf8mb4_bin` exists on every MySQL and MariaDB and compares exactly: `é` is not `e`.
# Said for each table, since a server's or a database's default may be latin1.
TABLE_OPTIONS: dict[str, Any] = {
    f"{engine}_{option}": value
    for engine in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


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


class MessageKind(StrEnum):
    """What a message's content is."""

    TEXT = "TEXT"
    EMOJI = "EMOJI"


def _column(type_: Any, *constraints: Any, nullable: bool = False, **options: Any) -> Any:
    return Field(sa_column=Column(type_, *constraints, nullable=nullable, **options))


class User(SQLModel, table=True):
    """Someone who can log in."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("email", name="uq_users_email"), TABLE_OPTIONS)

    id: int = _column(BigId, primary_key=True)
    email: str = _column(String(254))
    display_name: str = _column(String(100))
    # Case-folded, so that a search finds "Ünal" by "ünal" on both engines alike.
    search_name: str = _column(String(300))
    password_hash: str = _column(String(255))
    created_at: datetime = _column(UTCDateTime())
    last_seen_at: datetime | None = _column(UTCDateTime(), nullable=True)


class Message(SQLModel, table=True):
    """A message; its id is the position of its creation in the log."""

    __tablename__ = "messages"
    __table_args__ = (
        # Promise 4: a retry with the same key is the same message. NULLs do not collide.
        UniqueConstraint("sender_id", "client_message_id", name="uq_messages_client_message_id"),
        # Each way of reading history is one range of one of these, whatever the table's size.
        Index("ix_messages_pair", "lower_user_id", "higher_user_id", "id"),
        Index("ix_messages_sender", "sender_id", "id"),
        Index("ix_messages_receiver", "receiver_id", "id"),
        TABLE_OPTIONS,
    )

    id: int = _column(BigId, primary_key=True, autoincrement=False)
    sender_id: int = _column(BigId, ForeignKey("users.id", name="fk_messages_sender"))
    receiver_id: int | None = _column(
        BigId, ForeignKey("users.id", name="fk_messages_receiver"), nullable=True
    )
    # The two people of a direct message, the lower id first; both NULL for a broadcast.
    lower_user_id: int | None = _column(BigId, nullable=True)
    higher_user_id: int | None = _column(BigId, nullable=True)
    kind: str = _column(String(8))
    content: str = _column(Text)
    client_message_id: str | None = _column(String(128), nullable=True)
    created_at: datetime = _column(UTCDateTime())


class LogHead(SQLModel, table=True):
    """One row: the last position taken. Its lock makes commit order the order of positions."""

    __tablename__ = "log_head"
    __table_args__ = TABLE_OPTIONS

    id: int = _column(Integer, primary_key=True, autoincrement=False)
    position: int = _column(BigId)


class StoredMessage(msgspec.Struct, frozen=True, gc=False):
    """A committed message, as everything outside `db` sees it."""

    id: int
    sender_id: int
    receiver_id: int | None
    kind: MessageKind
    content: str
    client_message_id: str | None
    created_at: datetime


class StoredUser(msgspec.Struct, frozen=True, gc=False):
    """A user, without the password's hash."""

    id: int
    email: str
    display_name: str
    created_at: datetime
    last_seen_at: datetime | None
