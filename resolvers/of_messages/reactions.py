"""Reactions: emoji with which users answer a message."""

from collections.abc import Collection, Mapping, Sequence

from db.groups.leaving import find_left
from db.log.changes.reactions import ChangeReaction
from db.models import EVERYBODY_ID, StoredMessage
from db.of_messages import reactions
from db.of_messages.reactions import FIRST_USERS as FIRST_USERS
from db.of_messages.reactions import Key as Key
from db.of_messages.reactions import Reactions as Reactions
from resolvers.context import Context
from resolvers.guards.validation import clean_emoji
from resolvers.of_messages.edits import change_message
from resolvers.pending import Pending
from resolvers.reads import reading_log


def change_reaction(
    ctx: Context, *, message_id: int, emoji: str, added: bool
) -> Pending[StoredMessage]:
    """Add a reaction of the viewer's to a message, or remove it; return the message.

    It counts as a send; what is so already changes nothing. Raises Unauthenticated, BadInput for
    what is not one emoji, RateLimited, Unavailable; once it is awaited, NotFound for what the
    viewer may not see and where a send would find no receiver, Conflict for a deleted message,
    Forbidden for one emoji too many.
    """
    viewer = ctx.user
    return change_message(
        ctx,
        ChangeReaction(
            user_id=viewer.id,
            message_id=message_id,
            broadcasts_after=viewer.broadcasts_after,
            emoji=clean_emoji(emoji),
            added=added,
            most=ctx.settings.max_reactions_per_message,
        ),
    )


async def get_reactions(
    ctx: Context, asked: Collection[tuple[int, int]]
) -> Mapping[tuple[int, int], Sequence[Reactions]]:
    """Return the reactions to messages, by the viewers and the messages, which they were shown.

    Who has left a message's group meanwhile sees those of then. The viewer of a message of no group
    may be 0. Raises Unavailable.
    """
    async with reading_log(ctx) as connection:
        found = await reactions.read_reactions(connection, {id_ for _, id_ in asked})
        of_groups = [pair for pair in asked if pair[0]]
        left = await find_left(
            connection, {viewer for viewer, _ in of_groups}, {id_ for _, id_ in of_groups}
        )
    return {
        pair: left[pair].reactions if pair in left else found.get(pair[1], ()) for pair in asked
    }


async def find_own(ctx: Context, pairs: Collection[tuple[int, int]]) -> Collection[Key]:
    """Return the reactions to messages by the viewers that are named beside them.

    Raises Unavailable.
    """
    async with reading_log(ctx) as connection:
        return await reactions.reactions_of(connection, pairs)


def shown_users(ctx: Context, message: StoredMessage, users: Sequence[int]) -> Sequence[int]:
    """Return those of these users whose reactions to the message the viewer may see.

    To a broadcast, not those whom a block keeps apart from the viewer. Raises Unauthenticated.
    """
    if message.conversation_id != EVERYBODY_ID:
        return users
    apart = ctx.blocks.apart.get(ctx.user.id, ())
    return [user_id for user_id in users if user_id not in apart]
