"""Queries on where a user may write: the direct conversation with somebody, or a group."""

from typing import NamedTuple

from sqlalchemy import case, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.models import Conversation, ConversationKind, Member


async def find_conversation_with(
    connection: AsyncConnection, viewer_id: int, peer_id: int
) -> int | None:
    """Return the conversation of these two; None where they have exchanged no message."""
    lower, higher = sorted((viewer_id, peer_id))
    rows = await connection.execute(
        select(col(Conversation.id)).where(
            col(Conversation.lower_user_id) == lower, col(Conversation.higher_user_id) == higher
        )
    )
    return rows.scalar_one_or_none()


class Place(NamedTuple):
    """A conversation that somebody may write in."""

    peer_id: int | None  # the other person of a direct one; None for a group


async def find_place(
    connection: AsyncConnection, viewer_id: int, conversation_id: int
) -> Place | None:
    """Return the conversation, if the viewer is in it now; None for that of everybody.

    In the conversation that a viewer has with themselves the viewer is the other person.
    """
    lower, higher = col(Conversation.lower_user_id), col(Conversation.higher_user_id)
    rows = await connection.execute(
        select(case((lower == viewer_id, higher), else_=lower))
        .join(Member, col(Member.conversation_id) == col(Conversation.id))
        .where(
            col(Conversation.id) == conversation_id,
            col(Conversation.kind) != ConversationKind.EVERYBODY.value,
            col(Member.user_id) == viewer_id,
            col(Member.left_position).is_(None),
        )
    )
    row = rows.first()
    return None if row is None else Place(row[0])
