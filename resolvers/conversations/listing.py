"""Conversations: the list of one's own, and what is known of each."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from db import messages
from db.conversations import listing, marks
from db.conversations.spans import Span, page_ids
from db.log.changes.own_settings import UNCHANGED as UNCHANGED  # for callers
from db.log.changes.own_settings import SetOwnSettings, Unchanged, UnknownConversation
from db.models import EVERYBODY_ID, ListedConversation, Place, StoredMember, StoredMessage
from resolvers import access
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.errors import NotFound
from resolvers.events import cursor_at
from resolvers.guards.validation import check_page_size
from resolvers.messages import Page
from resolvers.reads import reading_history, reading_log

# The most ids in one statement.
IDS_PER_QUERY = 1000


class ConversationPage(NamedTuple):
    """A page of the list, as it was at a cursor of `watch_events`."""

    conversations: Sequence[ListedConversation]
    has_more: bool
    cursor: str


async def list_conversations(
    ctx: Context, *, archived: bool = False, after: Place | None = None, limit: int
) -> ConversationPage:
    """Return a page of the viewer's conversations, past a place of the list.

    The pinned ones come first, then those with the latest messages. Facts past the cursor are not
    in it. Raises Unauthenticated, BadInput, RateLimited, Unavailable.
    """
    viewer = ctx.user
    check_page_size(limit, "conversations", most=ctx.settings.max_page_size)
    ctx.limits.count_read(viewer.id)
    async with ctx.limits.reading(viewer.id), reading_history(ctx) as connection:
        # First: what is committed while the rows are read comes after the cursor.
        head = await messages.head_position(connection)
        found = await listing.page_conversations(
            connection,
            viewer.id,
            archived=archived,
            after=after,
            limit=limit + 1,
            broadcasts_after=viewer.broadcasts_after,
            upto=head,
        )
    return ConversationPage(found[:limit], len(found) > limit, cursor_at(ctx, head))


async def find_conversations(ctx: Context, ids: Collection[int]) -> dict[int, ListedConversation]:
    """Return those of these conversations that the viewer is in, or was in.

    Raises Unauthenticated, Unavailable.
    """
    async with reading_log(ctx) as connection:
        return await access.visible_conversations(ctx, connection, ids)


async def get_conversation(
    ctx: Context, conversation_id: int | None = None, *, with_id: int | None = None
) -> ListedConversation:
    """Return a conversation by its id, or by the other person of a direct one.

    Raises Unauthenticated, BadInput unless one of the two is given, NotFound, Unavailable.
    """
    async with reading_log(ctx) as connection:
        return await access.named_conversation(ctx, connection, conversation_id, with_id)


async def count_unread(ctx: Context, conversations: Iterable[ListedConversation]) -> dict[int, int]:
    """Return how many messages of others the viewer has not read in each; 100 for 100 or more.

    Raises Unauthenticated, Unavailable.
    """
    viewer = ctx.user
    async with reading_history(ctx) as connection:
        return await marks.count_unread(
            connection, viewer.id, conversations, has_blocks=viewer.id in ctx.blocks.apart
        )


async def list_messages_of(
    ctx: Context,
    conversations: Sequence[ListedConversation],
    *,
    after: int | None = None,
    before: int | None = None,
    newest: bool = True,
    limit: int,
) -> dict[int, Page]:
    """Return the same page of each of these conversations, as `list_messages` does of one.

    Raises Unauthenticated, BadInput, RateLimited, Unavailable.
    """
    viewer = ctx.user
    check_page_size(limit, "messages", most=ctx.settings.max_page_size)
    ctx.limits.count_read(viewer.id)
    spans = [
        Span(
            listed.id,
            max(after or 0, listed.after),
            listed.upto + 1 if before is None else min(before, listed.upto + 1),
            newest,
            limit + 1,
        )
        for listed in conversations
    ]
    has_blocks = viewer.id in ctx.blocks.apart
    async with ctx.limits.reading(viewer.id), reading_history(ctx) as connection:
        ids = await page_ids(connection, spans, apart_from=viewer.id if has_blocks else None)
        wanted = [id_ for page in ids.values() for id_ in page]
        found: dict[int, StoredMessage] = {}
        for start in range(0, len(wanted), IDS_PER_QUERY):
            some = await messages.find_all_visible(
                connection,
                viewer.id,
                wanted[start : start + IDS_PER_QUERY],
                broadcasts_after=viewer.broadcasts_after,
            )
            found |= {message.id: message for message in some}
    pages = {}
    for id_, page in ids.items():
        more = len(page) > limit
        if more:
            page = page[1:] if newest else page[:limit]
        pages[id_] = Page(
            [found[message_id] for message_id in page if message_id in found],
            has_older=after is not None or (newest and more),
            has_newer=before is not None or (not newest and more),
        )
    return pages


async def list_members_of(
    ctx: Context, conversations: Collection[ListedConversation], *, after: int, limit: int
) -> dict[int, Sequence[StoredMember]]:
    """Return up to `limit` + 1 members of each conversation, past a user's id.

    The conversation of everybody has none: its members are all users. So has one that the viewer
    has left. Raises Unauthenticated, BadInput, Unavailable.
    """
    ctx.user  # noqa: B018  # the door; the conversations were looked up through theirs
    check_page_size(limit, "members", most=ctx.settings.max_page_size)
    ids = [listed.id for listed in conversations]
    # Who has left a group no longer sees who is in it.
    asked = [
        listed
        for listed in conversations
        if listed.id != EVERYBODY_ID and listed.left_position is None
    ]
    async with reading_log(ctx) as connection:
        found = await marks.page_members(connection, asked, after=after, limit=limit + 1)
    return {id_: found.get(id_, []) for id_ in ids}


async def update_conversation(
    ctx: Context,
    conversation_id: int | None = None,
    *,
    with_id: int | None = None,
    muted_until: datetime | Unchanged | None = UNCHANGED,
    archived: bool | Unchanged = UNCHANGED,
    pinned: bool | Unchanged = UNCHANGED,
) -> ListedConversation:
    """Change the viewer's own settings of a conversation; return it as it is now.

    What is not given stays. `muted_until` in the past ends the mute. Raises Unauthenticated,
    BadInput, NotFound, RateLimited, Unavailable.
    """
    viewer = ctx.user
    ctx.limits.count_mark(viewer.id)
    async with reading_log(ctx) as connection:
        listed = await access.named_conversation(ctx, connection, conversation_id, with_id)
    if isinstance(muted_until, datetime) and muted_until <= datetime.now(UTC):
        muted_until = None
    change = SetOwnSettings(
        viewer.id, listed.id, muted_until, archived, pinned, viewer.broadcasts_after
    )
    try:
        fact = await commit(ctx, change)
    except UnknownConversation as error:
        raise NotFound("Conversation not found") from error
    if fact is None:
        return listed
    async with reading_log(ctx, fact.id) as connection:
        return await access.visible_conversation(ctx, connection, listed.id)


class OthersMarks(NamedTuple):
    """How far another member has got, as far as the viewer may know; 0 for not at all."""

    user_id: int
    read: int
    delivered: int


async def list_marks(
    ctx: Context,
    pages: Sequence[tuple[ListedConversation, Sequence[StoredMember]]],
    *,
    receipts: bool,
) -> list[list[OthersMarks]]:
    """Return the marks of each page's members, without the viewer.

    Nothing is known of whoever a block keeps apart from the viewer in a direct conversation, and no
    read mark where either has `receipts` off. Raises Unauthenticated, Unavailable.
    """
    viewer = ctx.user
    places = {
        (listed.id, min(member.delivered_position, listed.upto))
        for listed, members in pages
        for member in members
        if 0 < member.delivered_position < listed.last_position and member.id != viewer.id
    }
    lasts: dict[tuple[int, int], int] = {}
    if places:
        async with reading_log(ctx) as connection:
            lasts = await marks.last_ids(connection, places)
    apart = ctx.blocks.apart.get(viewer.id, ())
    found = []
    for listed, members in pages:
        others = []
        for member in members:
            if member.id == viewer.id:
                continue
            read = member.read_position if receipts and member.read_receipts else 0
            delivered = delivered_in(listed, member.delivered_position, lasts)
            if listed.peer_id is not None and member.id in apart:
                read = delivered = 0
            others.append(OthersMarks(member.id, read, delivered))
        found.append(others)
    return found


async def list_delivered(
    ctx: Context, conversations: Sequence[ListedConversation], position: int
) -> list[int]:
    """Return the last message of each conversation that lies at or before a position, or 0.

    Raises Unavailable.
    """
    places = {(each.id, position) for each in conversations if 0 < position < each.last_position}
    lasts: dict[tuple[int, int], int] = {}
    if places:
        async with reading_log(ctx) as connection:
            lasts = await marks.last_ids(connection, places)
    return [delivered_in(each, position, lasts) for each in conversations]


def delivered_in(
    listed: ListedConversation, position: int, lasts: Mapping[tuple[int, int], int]
) -> int:
    """Return the last message of the conversation that was delivered; 0 for none."""
    if position >= listed.last_position:
        return listed.last_position
    last = lasts.get((listed.id, min(position, listed.upto)), 0)
    return last if last > listed.after else 0
