"""Typing and recording: said by one, seen by the others of a conversation."""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime

from db.conversations import listing
from db.models import EVERYBODY_ID
from db.people import users
from events.facts import Activity, TypingChanged
from resolvers import access
from resolvers.connections import connection_of
from resolvers.context import Context
from resolvers.errors import BadInput, NotFound


async def set_typing(
    ctx: Context,
    *,
    conversation_id: int | None = None,
    peer_id: int | None = None,
    activity: Activity = Activity.TYPING,
) -> None:
    """Tell the others of a conversation what the viewer does.

    With oneself it tells nobody, and of somebody who is invisible neither.
    The conversation is named by its id, or by the other person of a direct one. A person whom a
    block keeps apart, or the directory hides, is not found. Raises Unauthenticated,
    BadInput, NotFound, RateLimited, Unavailable.
    """
    viewer = ctx.user
    if (conversation_id is None) == (peer_id is None):
        raise BadInput("Name either the conversationId or, by `with`, the other person")
    if conversation_id == EVERYBODY_ID:
        raise BadInput("Nobody is shown who types to everybody")
    ctx.limits.count_typing(viewer.id)
    async with ctx.read() as connection:
        if conversation_id is not None:
            listed = await access.visible_conversation(ctx, connection, conversation_id)
            if listed.left_position is not None:
                raise NotFound("Conversation not found")
            peer_id = listed.peer_id
        elif peer_id is not None:
            pair = (min(viewer.id, peer_id), max(viewer.id, peer_id))
            conversation_id = (await listing.find_direct(connection, [pair])).get(pair)
        if peer_id is not None:
            known = await users.existing_ids(connection, [peer_id])
            if not known or ctx.blocks.are_apart(viewer.id, peer_id):
                raise NotFound("User not found")
            if conversation_id is None and ctx.directory.shows != "everyone":
                await access.visible_user(ctx, connection, peer_id)
    # What a client says by itself while its user types would tell that the user is there.
    if peer_id != viewer.id and viewer.id not in ctx.invisible.ids:
        ctx.typing.change(
            TypingChanged(viewer.id, activity, datetime.now(UTC), peer_id, conversation_id)
        )


async def watch_typing(ctx: Context) -> AsyncGenerator[Sequence[TypingChanged], None]:
    """Yield what others do from now on in the viewer's conversations, some changes at a time.

    For a slow reader only the latest change of each user in each conversation waits. Raises
    Unauthenticated.
    """
    connection = connection_of(ctx)
    with ctx.typing.watch(ctx.user.id) as watch:
        # A request's own connection lasts as long as something listens on it: it says which groups
        # the viewer is in, and ends with the session.
        if connection.transport is None:
            connection.attach(watch)
        try:
            async for changes in watch:
                yield changes
        finally:
            connection.detach(watch)
