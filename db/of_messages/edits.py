"""Queries that change a message that is stored, and on what it said before."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db import attachments
from db.engines.statements import insert_many
from db.messages import Original
from db.models import Message, MessageAttachment, MessageEdit, StoredMessage

# So many earlier texts of a message are kept: what was sent first, and the latest.
EDITS_KEPT = 20


class Edit(NamedTuple):
    """What a message said, until it was edited at this time."""

    content: str
    edited_at: datetime


async def last_numbers(connection: AsyncConnection, message_ids: Collection[int]) -> dict[int, int]:
    """Return how often each of these messages was edited, if ever."""
    if not message_ids:
        return {}
    message_id = col(MessageEdit.message_id)
    rows = await connection.execute(
        select(message_id, func.max(col(MessageEdit.number)))
        .where(message_id.in_(message_ids))
        .group_by(message_id)
    )
    return {row[0]: row[1] for row in rows}


async def insert_edits(connection: AsyncConnection, edits: Sequence[tuple[int, int, Edit]]) -> None:
    """Keep earlier texts of messages: each the message's id, the text's number, and the text.

    Of a message with more than EDITS_KEPT, the second oldest goes.
    """
    if not edits:
        return
    rows = [(id_, number, edit.content, edit.edited_at) for id_, number, edit in edits]
    names = ("message_id", "number", "content", "edited_at")
    await insert_many(connection, "message_edits", names, rows)
    old = [(id_, number - EDITS_KEPT + 1) for id_, number, _ in edits if number > EDITS_KEPT]
    if old:
        key = tuple_(col(MessageEdit.message_id), col(MessageEdit.number))
        await connection.execute(delete(MessageEdit).where(key.in_(old)))


async def read_edits(
    connection: AsyncConnection, message_ids: Collection[int]
) -> dict[tuple[int, int], list[Edit]]:
    """Return the earlier texts of these messages, the oldest first, by sender and message."""
    rows = await connection.execute(
        select(
            col(Message.sender_id),
            col(Message.id),
            col(MessageEdit.content),
            col(MessageEdit.edited_at),
        )
        .join(MessageEdit, col(MessageEdit.message_id) == col(Message.id))
        .where(col(Message.id).in_(message_ids))
        .order_by(col(Message.id), col(MessageEdit.number))
    )
    found: dict[tuple[int, int], list[Edit]] = {}
    for sender_id, id_, content, edited_at in rows:
        found.setdefault((sender_id, id_), []).append(Edit(content, edited_at))
    return found


async def rewrite(connection: AsyncConnection, changed: Sequence[Original]) -> None:
    """Have the rows of these messages, which are there, say what the records say."""
    said = ("kind", "content", "metadata_json", "edited_at", "deleted_at", "original_hash")
    rows = [
        (
            *(m.id, m.sender_id, m.created_at, m.kind.value),
            *(m.content, m.metadata_json, m.edited_at, m.deleted_at, sent),
        )
        for m, sent in changed
    ]
    names = ("id", "sender_id", "created_at", *said)
    await insert_many(connection, "messages", names, rows, replacing=said)


async def forget_content(connection: AsyncConnection, gone: Collection[StoredMessage]) -> None:
    """Forget what these messages said before, and what they attach.

    An attachment that no other message shows is forgotten too: nobody opens it any more.
    """
    if edited := [message.id for message in gone if message.edited_at is not None]:
        await connection.execute(delete(MessageEdit).where(col(MessageEdit.message_id).in_(edited)))
    message_ids = [message.id for message in gone if message.attachment is not None]
    if not message_ids:
        return
    shown = (
        select(col(MessageAttachment.attachment_id))
        .where(col(MessageAttachment.message_id).in_(message_ids))
        .distinct()
    )
    released = set((await connection.execute(shown)).scalars())
    await connection.execute(
        delete(MessageAttachment).where(col(MessageAttachment.message_id).in_(message_ids))
    )
    await attachments.forget_unshown(connection, released)
