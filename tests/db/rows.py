"""Rows to start from, and logs to write with."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

from pydantic import SecretStr
from sqlalchemy import insert, select
from sqlmodel import col

from db.engines.database import Database
from db.log.admission import Admission
from db.log.conversations import Conversations
from db.log.drafts import Draft
from db.log.log import MessageLog
from db.messages import COLUMNS, head_position, read_messages
from db.models import LogHead, Message, MessageKind, StoredMessage
from db.people import users
from events.control import Control
from settings import Settings

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

_numbers = count(1)


def open_database(url: str, *, pool_size: int = 10) -> Database:
    """Return the database of this DATABASE_URL, as a server of these settings would."""
    settings = Settings(_env_file=None, database_url=SecretStr(url))
    return Database(settings.database, pool_size=pool_size)


async def add_users(database: Database, number: int) -> list[int]:
    """Insert so many users and return their ids."""
    async with database.write() as connection:
        return [
            (
                await users.insert_user(
                    connection,
                    email=f"user{next(_numbers)}@example.com",
                    display_name="Somebody",
                    password_hash="x",
                    created_at=NOW,
                )
            ).id
            for _ in range(number)
        ]


async def add_messages(database: Database, messages: Sequence[tuple[int, int | None]]) -> None:
    """Insert messages of these senders and receivers, with ids from 1, past the log's writer."""
    drafts = [draft(sender, receiver) for sender, receiver in messages]
    async with database.write() as connection:
        conversations = await Conversations().find(connection, drafts, NOW)
    rows: list[dict[str, Any]] = []
    for id_, (sender, receiver) in enumerate(messages, 1):
        row: dict[str, Any] = {
            "id": id_,
            "sender_id": sender,
            "receiver_id": receiver,
            "content": str(id_),
        }
        row |= {"kind": "TEXT", "conversation_id": conversations[id_ - 1]}
        rows.append({**row, "created_at": NOW})
    async with database.write() as connection:
        for start in range(0, len(rows), 5000):
            await connection.execute(insert(Message), rows[start : start + 5000])
        await connection.execute(LogHead.__table__.update().values(position=len(rows)))  # type: ignore[attr-defined]  # SQLModel hides it


def make_log(
    database: Database,
    *,
    max_pending: int = 10_000,
    committed: Callable[[Sequence[Any]], None] = lambda batch: None,
    uncertain: Callable[[], None] = lambda: None,
    admission: Admission | None = None,
) -> MessageLog:
    """Return a log of a process that follows no other."""
    return MessageLog(
        database,
        max_pending=max_pending,
        committed=committed,
        uncertain=uncertain,
        admission=admission or Admission(),
        authority=Control(),
    )


@asynccontextmanager
async def running_log(database: Database, **options: Any) -> AsyncIterator[MessageLog]:
    """Write a log, of the options of `make_log`, while the block lasts."""
    log = make_log(database, **options)
    log.start()
    try:
        yield log
    finally:
        await log.close()


def draft(
    sender: int, receiver: int | None = None, content: str = "hello", key: str | None = None
) -> Draft:
    """Return a text to be stored."""
    return Draft(sender, receiver, MessageKind.TEXT, content, key)


async def everything(database: Database) -> list[StoredMessage]:
    """Return the whole table, in the order of ids."""
    async with database.read() as connection:
        return await read_messages(connection, select(*COLUMNS).order_by(col(Message.id)))


async def expect_dense(database: Database) -> list[StoredMessage]:
    """Return the whole table after asserting that its ids are 1 … head, none missing."""
    messages = await everything(database)
    assert [message.id for message in messages] == [*range(1, len(messages) + 1)]
    async with database.read() as connection:
        assert await head_position(connection) == len(messages)
    return messages
