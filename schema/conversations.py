"""Conversations in GraphQL: the list, one of them, and one's own settings of each."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from re import compile as compile_pattern
from typing import Annotated

import strawberry
from strawberry import ID, UNSET, argument, field

from db.models import ConversationKind, ListedConversation, MemberRole, Place
from resolvers.conversations import listing, marks
from resolvers.errors import BadInput, NotFound
from resolvers.guards.validation import find_id
from schema.attachments import Attachment
from schema.context import Info, own_loaders
from schema.global_ids import Node
from schema.messages import Message
from schema.pagination import (
    DEFAULT_PAGE,
    MAX_CURSOR,
    Edge,
    PageInfo,
    RelayConnection,
    id_at,
    page_request,
)
from schema.people.users import User
from schema.scalars import known_id, wire_id

# The sizes of pages within a list of conversations, of which a client seldom needs more.
MEMBERS_PAGE = 20
MARKS_PAGE = 10
# In which words a conversation is missing, whether it is hidden or is not there.
MISSING = "Conversation not found"

ById = Annotated[ID | None, argument("The conversation's id.")]
ByPeer = Annotated[
    ID | None,
    argument(name="with", description="Instead of its id: the other person of a direct one."),
]


@strawberry.type(description="Somebody who is in a conversation.")
class Member:
    user: User = field(description="The person.")
    role: MemberRole = field(description="What they may do in it.")
    joined_at: datetime | None = field(
        description="When they joined the group; null in a direct conversation."
    )


@strawberry.type(description="How far somebody else has got in a conversation.")
class Marks:
    user: User = field(description="The person.")
    read_up_to: ID | None = field(
        description="They have read the messages up to this one; null for none, and where either"
        " of you has `readReceipts` off. What they have read has reached them."
    )
    delivered_up_to: ID | None = field(
        description="Their clients were sent the messages up to this one; null for none."
    )


@strawberry.type(description="Where messages belong, as you see it.")
class Conversation(Node):
    id: ID = field(description="A decimal string.")
    kind: ConversationKind = field(description="Whose it is.")
    title: str | None = field(
        description="The name of a group, for who has left it as it was then; null for the other"
        " kinds."
    )
    created_at: datetime = field(description="When it began.")
    read_up_to: ID | None = field(
        description="You have read the messages up to this one; null for none."
    )
    muted_until: datetime | None = field(
        description="Until when your clients keep quiet about it; null if they need not."
    )
    archived: bool = field(description="Whether you have put it away.")
    pinned: bool = field(description="Whether you keep it at the top of the list.")
    record: strawberry.Private[ListedConversation]

    @field(description="The other person of a direct one: you, in notes to yourself; else null.")
    async def peer(self, info: Info) -> User | None:
        if self.record.peer_id is None:
            return None
        record = await info.context.loaders.users.load(self.record.peer_id)
        return None if record is None else User.of(record)

    @field(
        description="The picture of a group, for who has left it as it was then; null without one,"
        " and for the other kinds."
    )
    async def avatar(self, info: Info) -> Attachment | None:
        if self.record.avatar_id is None:
            return None
        record = await own_loaders(info).avatars.load(self.record.avatar_id)
        return None if record is None else Attachment.of(record)

    @field(
        description="Whether who joins the group from now on sees what was written before. Who has"
        " joined already sees as much as then."
    )
    def shows_earlier(self) -> bool:
        return self.record.shows_earlier

    @field(description="Your own role in it; null once you have left the group.")
    def role(self) -> MemberRole | None:
        return MemberRole(self.record.role) if self.record.left_position is None else None

    @field(description="The last message that you may see; null for none.")
    async def last_message(self, info: Info) -> Message | None:
        if not self.record.last_position:
            return None
        record = await own_loaders(info).messages.load(self.record.last_position)
        return None if record is None else Message.of(record)

    @field(description="How many messages of others you have not read: 100 for 100 or more.")
    async def unread_count(self, info: Info) -> int:
        return await own_loaders(info).unread.load(self.record)

    @field(description="Your clients were sent the messages up to this one; null for none.")
    async def delivered_up_to(self, info: Info) -> ID | None:
        return _mark(await own_loaders(info).delivered.load(self.record))

    @field(
        description="Who is in it, you too, in the order of registration; nobody for the"
        " conversation of EVERYBODY, whose members are all `users`, and for a group that you have"
        " left."
    )
    async def members(
        self,
        info: Info,
        first: Annotated[int | None, argument("The page's size, 200 at most.")] = MEMBERS_PAGE,
        after: Annotated[str | None, argument("The cursor past which to begin.")] = None,
    ) -> RelayConnection[Member]:
        limit = MEMBERS_PAGE if first is None else first
        start = 0 if after is None else id_at(after, "after")
        page = await own_loaders(info).members.load((self.record, start, limit))
        people = await _people(info, [member.user_id for member in page[:limit]])
        return RelayConnection(
            records=page[:limit],
            show=lambda member: Member(
                user=people[member.id],
                role=MemberRole(member.role),
                joined_at=member.joined_at,
            ),
            has_previous=after is not None,
            has_next=len(page) > limit,
        )

    @field(
        description="How far the others have got, in the order of registration: your peer, or the"
        " members of a group. Nobody for the conversation of EVERYBODY."
    )
    async def marks(
        self,
        info: Info,
        first: Annotated[int | None, argument("At most so many, up to 200.")] = MARKS_PAGE,
        after: Annotated[ID | None, argument("Only users past this id.")] = None,
    ) -> list[Marks]:
        limit = MARKS_PAGE if first is None else first
        start = 0 if after is None else known_id(after, "User not found")
        page = await own_loaders(info).marks.load((self.record, start, limit))
        people = await _people(info, [found.user_id for found in page[:limit]])
        return [
            Marks(
                user=people[found.user_id],
                read_up_to=_mark(found.read),
                delivered_up_to=_mark(found.delivered),
            )
            for found in page[:limit]
        ]

    @field(description="Its messages that you may see: as `Query.messages`.")
    async def messages(
        self,
        info: Info,
        first: Annotated[int | None, argument("This many from the old end.")] = None,
        after: Annotated[
            str | None, argument("Only those past this cursor, or past the message with this id.")
        ] = None,
        last: Annotated[int | None, argument("This many from the new end.")] = None,
        before: Annotated[
            str | None,
            argument("Only those before this cursor, or before the message with this id."),
        ] = None,
    ) -> RelayConnection[Message]:
        asked = page_request(first, after, last, before)
        page = await own_loaders(info).message_pages.load((self.record, asked))
        return RelayConnection(
            records=page.messages,
            show=Message.of,
            has_previous=page.has_older,
            has_next=page.has_newer,
        )

    @classmethod
    def of(cls, record: ListedConversation) -> "Conversation":
        """Return the conversation as its viewer sees it."""
        return cls(
            id=wire_id(record.id),
            kind=record.kind,
            title=record.title,
            created_at=record.created_at,
            read_up_to=_mark(record.read_position),
            muted_until=record.muted_until,
            archived=record.archived,
            pinned=record.pinned,
            record=record,
        )


async def _people(info: Info, ids: Sequence[int]) -> dict[int, User]:
    records = await info.context.loaders.users.load_many([*ids])
    return {record.id: User.of(record) for record in records if record is not None}


def _mark(position: int) -> ID | None:
    return wire_id(position) if position else None


@strawberry.type(description="A page of your conversations.")
class ConversationConnection:
    page: strawberry.Private[listing.ConversationPage]
    begins: strawberry.Private[bool]
    cursor: str = field(
        description="The page is true at this place of the log: as `after` of `events`, it gives"
        " all that changes from there on."
    )

    @field(description="The conversations with their cursors.")
    def edges(self) -> list[Edge[Conversation]]:
        return [
            Edge(cursor=_cursor_of(record.place), node=Conversation.of(record))
            for record in self.page.conversations
        ]

    @field(description="The conversations without their cursors.")
    def nodes(self) -> list[Conversation]:
        return [Conversation.of(record) for record in self.page.conversations]

    @field(description="Where this page lies.")
    def page_info(self) -> PageInfo:
        listed = self.page.conversations
        return PageInfo(
            has_next_page=self.page.has_more,
            has_previous_page=not self.begins,
            start_cursor=_cursor_of(listed[0].place) if listed else None,
            end_cursor=_cursor_of(listed[-1].place) if listed else None,
        )


_PLACE = compile_pattern(r"place:([01]):(0|[1-9][0-9]{0,18})")


def _cursor_of(place: Place) -> str:
    text = f"place:{place.pinned:d}:{place.position}"
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place_at(cursor: str) -> Place:
    match = None
    if len(cursor) <= MAX_CURSOR:
        with suppress(ValueError):
            match = _PLACE.fullmatch(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode())
    if match is None or find_id(match[2]) is None:
        raise BadInput("after is not a cursor of this list")
    return Place(match[1] == "1", int(match[2]))


@strawberry.type
class ConversationQueries:
    @field(
        description="Your conversations: those that you have pinned, then by their latest message."
        " An app's first screen needs no other call."
    )
    async def conversations(
        self,
        info: Info,
        first: Annotated[int | None, argument("The page's size, 200 at most.")] = DEFAULT_PAGE,
        after: Annotated[str | None, argument("The cursor past which to begin.")] = None,
        archived: Annotated[
            bool | None, argument("Those that you have archived, in place of the others.")
        ] = False,
    ) -> ConversationConnection:
        page = await listing.list_conversations(
            info.context.ctx,
            archived=bool(archived),
            after=None if after is None else _place_at(after),
            limit=DEFAULT_PAGE if first is None else first,
        )
        return ConversationConnection(page=page, begins=after is None, cursor=page.cursor)

    @field(
        description="A conversation, by its id or by the other person of a direct one; null when"
        " there is none that you are in. A direct one begins with its first message."
    )
    async def conversation(
        self, info: Info, id: ById = None, with_: ByPeer = None
    ) -> Conversation | None:
        ctx = info.context.ctx
        ctx.user  # noqa: B018  # the door: strangers are told so, whatever the id
        with suppress(NotFound):
            return Conversation.of(
                await listing.get_conversation(ctx, _id(id, MISSING), with_id=_id(with_, MISSING))
            )
        return None


def _id(value: ID | None, missing: str) -> int | None:
    return None if value is None else known_id(value, missing)


@strawberry.type
class ConversationMutations:
    @strawberry.mutation(
        description="Change your own settings of a conversation, which nobody else sees. What is"
        " left out stays."
    )
    async def update_conversation(
        self,
        info: Info,
        conversation_id: ById = None,
        with_: ByPeer = None,
        muted_until: Annotated[
            datetime | None,
            argument("Keep quiet about it until then; null, or a moment in the past, ends that."),
        ] = UNSET,
        archived: Annotated[bool | None, argument("Put it away, or take it back.")] = None,
        pinned: Annotated[bool | None, argument("Keep it at the top, or no longer.")] = None,
    ) -> Conversation:
        ctx = info.context.ctx
        ctx.user  # noqa: B018  # the door: strangers are told so, whatever the id
        unchanged = listing.UNCHANGED
        return Conversation.of(
            await listing.update_conversation(
                ctx,
                _id(conversation_id, MISSING),
                with_id=_id(with_, MISSING),
                muted_until=unchanged if muted_until is UNSET else muted_until,
                archived=unchanged if archived is None else archived,
                pinned=unchanged if pinned is None else pinned,
            )
        )

    @strawberry.mutation(
        description="Mark a conversation's messages up to one of them as read. A mark only moves"
        " forward, and never past the last message. The others see it, unless `readReceipts` is off"
        " for one of you; in the conversation of EVERYBODY nobody does."
    )
    async def mark_read(
        self,
        info: Info,
        up_to: Annotated[ID, argument("The id of the last message that was read.")],
        conversation_id: ById = None,
        with_: ByPeer = None,
    ) -> Conversation:
        ctx = info.context.ctx
        ctx.user  # noqa: B018  # the door: strangers are told so, whatever the id
        return Conversation.of(
            await marks.mark_read(
                ctx,
                _id(conversation_id, MISSING),
                with_id=_id(with_, MISSING),
                upto=_position(up_to),
            )
        )

    @strawberry.mutation(
        description="Mark that your clients were sent all messages up to this one, of all"
        " conversations: as they acknowledge `events` or `messageAdded`. True if the mark moved: it"
        " only moves forward. Those who wrote to you see it."
    )
    async def mark_delivered(
        self,
        info: Info,
        up_to: Annotated[ID, argument("The id of the last message that has come.")],
    ) -> bool:
        ctx = info.context.ctx
        ctx.user  # noqa: B018  # the door: strangers are told so, whatever the id
        return await marks.mark_delivered(ctx, _position(up_to))


def _position(value: ID) -> int:
    if (position := find_id(value)) is None:
        raise BadInput("upTo is not a message's id")
    return position
