"""Marks: how far the viewer has read, and what their clients were sent."""

from db.log.changes.marks import MarkDelivered, MarkRead
from db.log.changes.own_settings import UnknownConversation
from db.models import ListedConversation
from resolvers import access
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.errors import NotFound
from resolvers.reads import reading_log


async def mark_read(
    ctx: Context, conversation_id: int | None = None, *, with_id: int | None = None, upto: int
) -> ListedConversation:
    """Mark the conversation's messages up to this id as read; return it as it is now.

    A mark never moves back, and never past the last message. Raises Unauthenticated, BadInput,
    NotFound, RateLimited, Unavailable.
    """
    viewer = ctx.user
    ctx.limits.count_mark(viewer.id)
    async with reading_log(ctx) as connection:
        listed = await access.named_conversation(ctx, connection, conversation_id, with_id)
    if upto <= listed.read_position:
        return listed
    change = MarkRead(viewer.id, listed.id, upto, viewer.broadcasts_after)
    try:
        fact = await commit(ctx, change)
    except UnknownConversation as error:
        raise NotFound("Conversation not found") from error
    async with reading_log(ctx, None if fact is None else fact.id) as connection:
        return await access.visible_conversation(ctx, connection, listed.id)


async def mark_delivered(ctx: Context, upto: int) -> bool:
    """Mark what the viewer's clients were sent up to this id, of all conversations.

    Return whether the mark moved: never back, never past the end of the log, and not while the
    viewer is invisible. Raises Unauthenticated, RateLimited, Unavailable.
    """
    viewer = ctx.user
    ctx.limits.count_mark(viewer.id)
    return await commit(ctx, MarkDelivered(viewer.id, upto)) is not None
