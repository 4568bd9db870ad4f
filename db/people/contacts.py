"""Queries on who shares a conversation with whom: exchanged a message, or is in a group."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased
from sqlmodel import col

from db.models import Conversation, ConversationKind, Member, Message
from db.visibility import shown_broadcast

# The latest messages of a sender among which a broadcast is looked for: the work has a bound.
MOST_LOOKED_AT = 10_000


async def contact_ids(connection: AsyncConnection, user_id: int, *, limit: int) -> set[int]:
    """Return with whom this user has exchanged a direct message, up to `limit` each way.

    Two index ranges, as long as the user has messages.
    """
    sender, receiver = col(Message.sender_id), col(Message.receiver_id)
    found: set[int] = set()
    for own, other in ((sender, receiver), (receiver, sender)):
        query = select(other).where(own == user_id, other.is_not(None)).distinct().limit(limit)
        found |= {*(await connection.execute(query)).scalars()}
    return found - {user_id}


async def group_mates(connection: AsyncConnection, user_id: int, *, limit: int) -> set[int]:
    """Return who is in a group now in which this user is too, up to `limit` of them.

    The rows of the user's groups, and of their members.
    """
    own, other = aliased(Member), aliased(Member)
    query = (
        select(col(other.user_id))
        .join(own, col(own.conversation_id) == col(other.conversation_id))
        .join(Conversation, col(Conversation.id) == col(own.conversation_id))
        .where(
            col(own.user_id) == user_id,
            col(own.left_position).is_(None),
            col(other.left_position).is_(None),
            col(Conversation.kind) == ConversationKind.GROUP.value,
        )
        .distinct()
        .limit(limit)
    )
    return {*(await connection.execute(query)).scalars()} - {user_id}


async def members_of(connection: AsyncConnection, conversation_id: int) -> set[int]:
    """Return who is in a group now."""
    rows = await connection.execute(
        select(col(Member.user_id)).where(
            col(Member.conversation_id) == conversation_id, col(Member.left_position).is_(None)
        )
    )
    return {*rows.scalars()}


async def share_a_group(connection: AsyncConnection, one: int, other: int) -> bool:
    """Whether the two are in a group together now."""
    mine, theirs = aliased(Member), aliased(Member)
    rows = await connection.execute(
        select(col(mine.conversation_id))
        .join(theirs, col(theirs.conversation_id) == col(mine.conversation_id))
        .join(Conversation, col(Conversation.id) == col(mine.conversation_id))
        .where(
            col(mine.user_id) == one,
            col(theirs.user_id) == other,
            col(mine.left_position).is_(None),
            col(theirs.left_position).is_(None),
            col(Conversation.kind) == ConversationKind.GROUP.value,
        )
        .limit(1)
    )
    return rows.first() is not None


async def are_contacts(connection: AsyncConnection, one: int, other: int) -> bool:
    """Whether the two have exchanged a direct message: they have a conversation then."""
    lower, higher = sorted((one, other))
    rows = await connection.execute(
        select(col(Conversation.id))
        .where(col(Conversation.lower_user_id) == lower, col(Conversation.higher_user_id) == higher)
        .limit(1)
    )
    return rows.first() is not None


async def has_broadcast_to(
    connection: AsyncConnection, sender_id: int, viewer_id: int, broadcasts_after: int
) -> bool:
    """Whether one of the sender's latest messages is a broadcast that the viewer may see."""
    latest = (
        select(col(Message.id))
        .where(col(Message.sender_id) == sender_id, col(Message.id) > broadcasts_after)
        .order_by(col(Message.id).desc())
        .limit(MOST_LOOKED_AT)
        .subquery()
    )
    rows = await connection.execute(
        select(col(Message.id))
        .join(latest, col(Message.id) == latest.c.id)
        .where(shown_broadcast(viewer_id, broadcasts_after))
        .limit(1)
    )
    return rows.first() is not None
