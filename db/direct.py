"""Queries on the direct conversation of two people."""

from sqlalchemy import case, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.models import Conversation


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


async def find_peer(
    connection: AsyncConnection, viewer_id: int, conversation_id: int
) -> int | None:
    """Return the other person of the viewer's direct conversation; None if it is none of theirs.

    In the conversation that a viewer has with themselves this is the viewer.
    """
    lower, higher = col(Conversation.lower_user_id), col(Conversation.higher_user_id)
    rows = await connection.execute(
        select(case((lower == viewer_id, higher), else_=lower)).where(
            col(Conversation.id) == conversation_id,
            or_(lower == viewer_id, higher == viewer_id),
        )
    )
    return rows.scalar_one_or_none()
