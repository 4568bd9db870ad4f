"""Replies: which drafts may name the message that they reply to."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.log.changes.change import Refused
from db.log.changes.of_message import OfMessage, Standing
from db.log.drafts import Draft, UnknownReplied, Waiting
from db.models import EVERYBODY_ID, Message


async def refuse_replies(
    connection: AsyncConnection, batch: Sequence[Waiting]
) -> list[tuple[Waiting, Exception]]:
    """Return those whose draft replies to no message of its conversation that the sender sees."""
    replies = [waiting for waiting in batch if waiting.draft.reply_to_id is not None]
    if not replies:
        return []
    rows = await connection.execute(
        select(
            col(Message.id),
            col(Message.sender_id),
            col(Message.receiver_id),
            col(Message.conversation_id),
        ).where(col(Message.id).in_({waiting.draft.reply_to_id for waiting in replies}))
    )
    found = {row[0]: row for row in rows}
    refused: list[tuple[Waiting, Exception]] = []
    to_all: list[tuple[Waiting, OfMessage]] = []
    for waiting in replies:
        draft = waiting.draft
        row = found.get(draft.reply_to_id or 0)
        if row is None or not _is_same_conversation(draft, *row[1:]):
            refused.append((waiting, UnknownReplied()))
        elif row[2] is None:
            reply = OfMessage(draft.sender_id, row[0], draft.broadcasts_after)
            to_all.append((waiting, reply))
    if to_all:  # its two people see a direct message; whether others see theirs is to be asked
        standing = await Standing.of(connection, [reply for _, reply in to_all])
        refused += [
            (waiting, UnknownReplied())
            for waiting, reply in to_all
            if isinstance(standing.find(reply), Refused)
        ]
    return refused


def _is_same_conversation(
    draft: Draft, sender_id: int, receiver_id: int | None, conversation_id: int
) -> bool:
    if draft.receiver_id is None or receiver_id is None:
        own = EVERYBODY_ID if draft.conversation_id is None else draft.conversation_id
        return draft.receiver_id is receiver_id and conversation_id == own
    return {sender_id, receiver_id} == {draft.sender_id, draft.receiver_id}
