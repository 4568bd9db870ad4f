"""The messages that others reply to, as far as their readers may see them."""

from collections.abc import Collection

from db import messages
from db.models import StoredMessage
from resolvers.context import Context
from resolvers.messages import get_messages
from resolvers.reads import reading_log


async def get_replied(ctx: Context, message_ids: Collection[int]) -> dict[int, StoredMessage]:
    """Return those of these messages that the viewer may see. Raises Unauthenticated."""
    return {message.id: message for message in await get_messages(ctx, message_ids)}


async def get_replied_of_streams(
    ctx: Context, message_ids: Collection[int]
) -> dict[int, StoredMessage]:
    """Return these messages, for subscriptions of many viewers: `may_see` is asked for each."""
    async with reading_log(ctx) as connection:
        found = await messages.find_by_ids(connection, message_ids)
    return {message.id: message for message in found}


def may_see(ctx: Context, message: StoredMessage) -> bool:
    """Whether the viewer may see the message, as this process knows. Raises Unauthenticated."""
    viewer = ctx.user
    shows = ctx.feed.visibility.shows
    return shows(message, viewer.id, viewer.broadcasts_after, groups=ctx.shows_groups)
