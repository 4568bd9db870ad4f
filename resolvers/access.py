"""The doors, one for each kind of thing: the hidden and the missing give the same answer."""

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from db import attachments, messages
from db.conversations import listing
from db.conversations.activity import FOR_EVER
from db.models import ListedConversation, StoredAttachment, StoredMessage, StoredUser
from db.people import contacts, users
from resolvers.context import Context
from resolvers.errors import BadInput, NotFound
from resolvers.guards.viewer import Viewer


async def visible_users(
    ctx: Context, connection: AsyncConnection, ids: Collection[int]
) -> dict[int, StoredUser]:
    """Return those of these users that the viewer may know of. Raises Unauthenticated."""
    viewer = ctx.user
    found = await users.find_users(connection, ids)
    if ctx.directory.shows == "everyone":
        return found
    return {id_: user for id_, user in found.items() if await _knows(connection, ctx, viewer, id_)}


async def _knows(connection: AsyncConnection, ctx: Context, viewer: Viewer, user_id: int) -> bool:
    """Whether the directory shows the user, or the viewer has met them.

    The viewer has exchanged messages with them, or blocked them, or is in a group with them, or may
    see a broadcast of theirs.
    """
    if ctx.directory.includes(viewer.id, user_id) or ctx.blocks.has_blocked(viewer.id, user_id):
        return True
    return (
        await contacts.are_contacts(connection, viewer.id, user_id)
        or await contacts.share_a_group(connection, viewer.id, user_id)
        or await contacts.has_broadcast_to(connection, user_id, viewer.id, viewer.broadcasts_after)
    )


async def visible_user(ctx: Context, connection: AsyncConnection, user_id: int) -> StoredUser:
    """Return the user. Raises Unauthenticated, NotFound."""
    found = await visible_users(ctx, connection, [user_id])
    if user_id not in found:
        raise NotFound("User not found")
    return found[user_id]


async def visible_attachment(
    ctx: Context, connection: AsyncConnection, attachment_id: int
) -> StoredAttachment:
    """Return the attachment, if it is the viewer's or of a message that the viewer may see.

    Raises Unauthenticated, NotFound.
    """
    viewer = ctx.user
    found = (await attachments.find_attachments(connection, [attachment_id])).get(attachment_id)
    if found is None or not (
        found.owner_id == viewer.id
        or await attachments.is_shared_with(
            connection,
            attachment_id,
            viewer.id,
            broadcasts_after=viewer.broadcasts_after,
            groups=ctx.shows_groups,
        )
    ):
        raise NotFound("File not found")
    return found


async def visible_message(
    ctx: Context, connection: AsyncConnection, message_id: int
) -> StoredMessage:
    """Return the message, if the viewer is one of its people, or it is a broadcast.

    A broadcast from before the viewer registered, or of a user whom a block keeps apart, is hidden.
    Raises Unauthenticated, NotFound.
    """
    viewer = ctx.user
    message = await messages.find_visible(
        connection, viewer.id, message_id, broadcasts_after=viewer.broadcasts_after
    )
    if message is None:
        raise NotFound("Message not found")
    return message


async def visible_conversations(
    ctx: Context, connection: AsyncConnection, ids: Collection[int], *, upto: int = FOR_EVER
) -> dict[int, ListedConversation]:
    """Return those of these conversations that the viewer is in, or was in, as they were at `upto`.

    Everybody is in the conversation of everybody. Raises Unauthenticated.
    """
    viewer = ctx.user
    return await listing.find_conversations(
        connection, viewer.id, ids, broadcasts_after=viewer.broadcasts_after, upto=upto
    )


async def visible_conversation(
    ctx: Context, connection: AsyncConnection, conversation_id: int
) -> ListedConversation:
    """Return the conversation, if the viewer is in it, or was. Raises Unauthenticated, NotFound."""
    found = await visible_conversations(ctx, connection, [conversation_id])
    if conversation_id not in found:
        raise NotFound("Conversation not found")
    return found[conversation_id]


async def named_conversation(
    ctx: Context, connection: AsyncConnection, conversation_id: int | None, with_id: int | None
) -> ListedConversation:
    """Return the conversation of this id, or the viewer's with this user.

    Raises Unauthenticated, BadInput unless one of the two is given, NotFound.
    """
    viewer = ctx.user
    if (conversation_id is None) == (with_id is None):
        raise BadInput("Name a conversation by its id, or by `with`, and not by both")
    if with_id is not None:
        pair = (min(viewer.id, with_id), max(viewer.id, with_id))
        conversation_id = (await listing.find_direct(connection, [pair])).get(pair)
    if conversation_id is None:
        raise NotFound("Conversation not found")
    return await visible_conversation(ctx, connection, conversation_id)
