"""Queries on conversations: the list of one user's, and what is known of each."""

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, case, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.models import Conversation, ConversationKind, Member, Message

# How many unread messages of a conversation are counted: "100" stands for "at least 100".
UNREAD_COUNTED = 100
# `activity` is written again when the conversation's last message lies so far past it,
ACTIVITY_STEP = 1000
# and always before the last message lies further past it (docs/decisions/0017-conversations.md).
MOST_BEHIND = 2 * ACTIVITY_STEP
# Past every position.
FOR_EVER = 2**62


class ListedConversation(msgspec.Struct, frozen=True, gc=False):
    """A conversation as one of its members sees it."""

    id: int
    kind: ConversationKind
    title: str | None
    created_at: datetime
    peer_id: int | None  # the other person of a direct one
    role: str
    joined_position: int
    left_position: int | None
    read_position: int
    muted_until: datetime | None
    archived: bool
    pinned: bool
    last_position: int  # of the last message that the member may see; 0 without any


def _last_position() -> ColumnElement[int]:
    """Return the position of the last message that the member may see: one end of an index."""
    return (
        select(func.coalesce(func.max(col(Message.id)), 0))
        .where(
            col(Message.conversation_id) == col(Member.conversation_id),
            col(Message.id) > col(Member.joined_position),
            col(Message.id) <= func.coalesce(col(Member.left_position), FOR_EVER),
        )
        .correlate(Member)
        .scalar_subquery()
    )


async def page_conversations(
    connection: AsyncConnection,
    viewer_id: int,
    *,
    archived: bool,
    before: int | None,
    limit: int,
) -> Sequence[ListedConversation]:
    """Return up to `limit` conversations of the viewer's, the latest last message first.

    `before` is an exclusive `last_position`. Reads as many rows as it returns, and those of which
    `activity` does not tell whether they belong to the page.
    """
    peer = case(
        (col(Conversation.lower_user_id) == literal(viewer_id), col(Conversation.higher_user_id)),
        else_=col(Conversation.lower_user_id),
    )
    query = (
        select(
            col(Conversation.id),
            col(Conversation.kind),
            col(Conversation.title),
            col(Conversation.created_at),
            peer,
            col(Member.role),
            col(Member.joined_position),
            col(Member.left_position),
            col(Member.read_position),
            col(Member.muted_until),
            col(Member.archived),
            col(Member.pinned),
            _last_position(),
            col(Member.activity),
        )
        .join(Conversation, col(Conversation.id) == col(Member.conversation_id))
        .where(col(Member.user_id) == viewer_id, col(Member.archived) == archived)
        .order_by(col(Member.activity).desc(), col(Member.conversation_id).desc())
    )
    found: list[ListedConversation] = []
    seen: set[int] = set()
    upto = FOR_EVER if before is None else before
    while True:
        rows = (
            await connection.execute(
                query.where(col(Member.activity) <= upto).limit(limit + len(seen) + 1)
            )
        ).all()
        new = [row for row in rows if row[0] not in seen]
        seen |= {row[0] for row in new}
        found += [
            ListedConversation(row[0], ConversationKind(row[1]), *row[2:13])
            for row in new
            if before is None or row[12] < before
        ]
        found.sort(key=lambda listed: listed.last_position, reverse=True)
        if not new:
            return found[:limit]
        upto = new[-1][13]
        if len(found) >= limit and found[limit - 1].last_position > upto + MOST_BEHIND:
            return found[:limit]


async def count_unread(
    connection: AsyncConnection, viewer_id: int, conversations: Collection[ListedConversation]
) -> dict[int, int]:
    """Return how many messages of others lie past the read mark of each, up to UNREAD_COUNTED.

    One statement, with one range of an index for each conversation.
    """
    counts: dict[int, int] = {}
    for listed in conversations:
        if listed.last_position <= listed.read_position:
            counts[listed.id] = 0
            continue
        unread = (
            select(col(Message.id))
            .where(
                col(Message.conversation_id) == listed.id,
                col(Message.id) > max(listed.read_position, listed.joined_position),
                col(Message.id) <= (listed.left_position or FOR_EVER),
                col(Message.sender_id) != viewer_id,
            )
            .limit(UNREAD_COUNTED)
            .subquery()
        )
        counts[listed.id] = int(
            (await connection.execute(select(func.count()).select_from(unread))).scalar_one()
        )
    return counts
