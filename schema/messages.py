"""Messages in GraphQL: send, read back, subscribe."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import ID, argument, field

from db.models import MessageKind, StoredMessage
from events.subscription import Consumer
from resolvers import messages
from resolvers.errors import BadInput, NotFound
from resolvers.guards.validation import find_id
from resolvers.of_messages.leaving import may_differ
from resolvers.of_messages.reactions import Reactions, shown_users
from resolvers.of_messages.replies import may_see
from resolvers.pending import Pending
from resolvers.sends import UNKNOWN_REPLIED
from schema.attachments import Attachment
from schema.context import Info, own_loaders
from schema.execution.plans import SAME_FOR_ALL
from schema.execution.recent import RecentCache
from schema.execution.sources import Source
from schema.global_ids import Node
from schema.pagination import RelayConnection, page_request
from schema.people.users import User
from schema.scalars import JSON, known_id, wire_id

if TYPE_CHECKING:
    from schema.conversations import Conversation
# So many people are shown beside a reaction, unless a client asks for more.
DEFAULT_REACTORS = 5


@strawberry.type(description="What a message said before it was edited.")
class MessageEdit:
    content: str = field(description="The earlier text.")
    edited_at: datetime = field(description="When the next text took its place.")


@strawberry.type(description="All reactions to a message with one emoji.")
class Reaction:
    emoji: str = field(description="The emoji, in the form that Unicode recommends.")
    count: int = field(description="How many users reacted so.")
    record: strawberry.Private[Reactions]
    message: strawberry.Private[StoredMessage]

    @field(
        description="The first of those who reacted so, in order; 20 at most. Without those whom a"
        " block keeps apart from you, where the message is a broadcast."
    )
    async def users(
        self,
        info: Info,
        first: Annotated[int, argument("At most so many.")] = DEFAULT_REACTORS,
    ) -> list[User]:
        if first < 0:
            raise BadInput("first is negative")
        ids = shown_users(info.context.ctx, self.message, self.record.first_users)[:first]
        found = await info.context.loaders.users.load_many([*ids])
        return [User.of(record) for record in found if record is not None]

    @field(description="Whether you reacted so.")
    async def mine(self, info: Info) -> bool:
        viewer_id, record = info.context.ctx.user.id, self.record
        if viewer_id in record.first_users or record.count == len(record.first_users):
            return viewer_id in record.first_users
        key = (self.message.id, viewer_id, record.emoji)
        return await info.context.loaders.own_reactions.load(key)


@strawberry.type(
    description="A message: direct, in a group, or to everybody. Who has left a group sees its"
    " messages as they were then, without later edits and reactions; deletions show."
)
class Message(Node):
    id: ID = field(
        description="A decimal string: the position in the log. Later messages have greater ids."
    )
    sender_id: ID = field(description="The sender.")
    receiver_id: ID | None = field(
        description="The receiver; null in a group, and for a broadcast to everybody."
    )
    kind: MessageKind = field(description="What the content is.")
    conversation_id: ID = field(description="The conversation that it belongs to.")
    content: str = field(
        description="The text; beside an attachment a caption, which may be empty. Empty once the"
        " message is deleted."
    )
    client_message_id: str | None = field(description="The key that its sender gave it, if any.")
    attachment: Attachment | None = field(
        description="Its file, when its kind is IMAGE, FILE or VOICE, until it is deleted."
    )
    created_at: datetime = field(description="When the server stored it.")
    edited_at: datetime | None = field(description="When its text was last changed, if it was.")
    deleted_at: datetime | None = field(
        description="When it was deleted, if it was: its place stays, without content."
    )
    reply_to_id: ID | None = field(description="The message that it replies to, if any.")
    metadata: JSON | None = field(
        description="The custom data that its sender gave it, if any: for bots, places, cards. Null"
        " once the message is deleted."
    )
    record: strawberry.Private[StoredMessage]

    @field(description="The sender.", metadata=SAME_FOR_ALL)
    async def sender(self, info: Info) -> User:
        record = await info.context.loaders.users.load(self.record.sender_id)
        if record is None:
            raise NotFound("User not found")
        return User.of(record)

    @field(description="The receiver; null in a group, and for a broadcast.", metadata=SAME_FOR_ALL)
    async def receiver(self, info: Info) -> User | None:
        if self.record.receiver_id is None:
            return None
        record = await info.context.loaders.users.load(self.record.receiver_id)
        return None if record is None else User.of(record)

    @field(description="The conversation that it belongs to, as you see it.")
    async def conversation(
        self, info: Info
    ) -> Annotated["Conversation", strawberry.lazy("schema.conversations")]:
        from schema.conversations import Conversation

        record = await own_loaders(info).conversations.load(self.record.conversation_id)
        if record is None:
            raise NotFound("Conversation not found")
        return Conversation.of(record)

    @field(
        description="The message that this one replies to, or what is left of it; null when it"
        " replies to none, or to one that you may not see."
    )
    async def reply_to(self, info: Info) -> "Message | None":
        if self.record.reply_to_id is None:
            return None
        loaders = info.context.loaders
        record = await loaders.replied.load(self.record.reply_to_id)
        if record is None or (loaders.shared and not may_see(info.context.ctx, record)):
            return None
        if loaders.shared and may_differ(record):
            kept = await loaders.kept.load((info.context.ctx.user.id, record.id))
            record = record if kept is None else kept.of(record)
        return Message.of(record)

    @field(description="The reactions to it, in the order in which their emoji came.")
    async def reactions(self, info: Info) -> list[Reaction]:
        record = self.record
        if not record.reacted or record.deleted_at is not None:
            return []
        reactions: Sequence[Reactions] | None = record.kept_reactions
        if reactions is None:
            viewer_id = info.context.ctx.user.id if record.is_of_group else 0
            reactions = await info.context.loaders.reactions.load((viewer_id, record.id))
        return [
            Reaction(emoji=found.emoji, count=found.count, record=found, message=record)
            for found in reactions
        ]

    @field(
        description="What it said before, the oldest text first: what was sent and the latest 19."
        " Null for everybody but its sender."
    )
    async def edits(self, info: Info) -> list[MessageEdit] | None:
        viewer_id = info.context.ctx.user.id
        if viewer_id != self.record.sender_id:
            return None
        if self.record.edited_at is None or self.record.deleted_at is not None:
            return []
        found = await info.context.loaders.edits.load((viewer_id, self.record.id))
        return [MessageEdit(content=text, edited_at=edited_at) for text, edited_at in found]

    @classmethod
    def of(cls, record: StoredMessage) -> "Message":
        """Return the message as GraphQL shows it."""
        return cls(
            id=wire_id(record.id),
            sender_id=wire_id(record.sender_id),
            receiver_id=None if record.receiver_id is None else wire_id(record.receiver_id),
            kind=record.kind,
            conversation_id=wire_id(record.conversation_id),
            content=record.content,
            client_message_id=record.client_message_id,
            attachment=None if record.attachment is None else Attachment.of(record.attachment),
            created_at=record.created_at,
            edited_at=record.edited_at,
            deleted_at=record.deleted_at,
            reply_to_id=None if record.reply_to_id is None else wire_id(record.reply_to_id),
            metadata=None if record.metadata_json is None else JSON(record.metadata_json),
            record=record,
        )


# The sender and all subscribers get one object: each document's result of it is encoded once.
_shared: RecentCache[StoredMessage, Message] = RecentCache(Message.of)
show_message = _shared.of


@strawberry.type
class MessageQueries:
    @field(
        description="The messages that you may see: your own, those to you, and broadcasts. A page"
        " is oldest first; without `first` or `last` it has the newest 50."
    )
    async def messages(
        self,
        info: Info,
        with_: Annotated[
            ID | None,
            argument(name="with", description="Only those between you and this user."),
        ] = None,
        first: Annotated[int | None, argument("This many from the old end.")] = None,
        after: Annotated[
            str | None, argument("Only those past this cursor, or past the message with this id.")
        ] = None,
        last: Annotated[int | None, argument("This many from the new end.")] = None,
        before: Annotated[
            str | None,
            argument("Only those before this cursor, or before the message with this id."),
        ] = None,
        conversation: Annotated[
            ID | None, argument("Only those of this conversation, which you are in.")
        ] = None,
        around: Annotated[
            ID | None,
            argument(
                "A page with this message in its middle, with up to `first` or `last` messages;"
                " without `after` and `before`."
            ),
        ] = None,
    ) -> RelayConnection[Message]:
        ctx = info.context.ctx
        ctx.user  # noqa: B018  # the door: strangers are told so, whatever the ids
        asked = page_request(first, after, last, before)
        if with_ is not None and conversation is not None:
            raise BadInput("with and conversation cannot be used together")
        with_id = None if with_ is None else known_id(with_, "User not found")
        conversation_id = (
            None if conversation is None else known_id(conversation, "Conversation not found")
        )
        if around is None:
            page = await messages.list_messages(
                ctx, with_id=with_id, conversation_id=conversation_id, **asked._asdict()
            )
        elif after is not None or before is not None:
            raise BadInput("around cannot be used together with after or before")
        else:
            page = await messages.list_messages_around(
                ctx,
                known_id(around, "Message not found"),
                with_id=with_id,
                conversation_id=conversation_id,
                limit=asked.limit,
            )
        return RelayConnection(
            records=page.messages,
            show=Message.of,
            has_previous=page.has_older,
            has_next=page.has_newer,
        )

    @field(description="A message; null when there is none that you may see.")
    async def message(
        self, info: Info, id: Annotated[ID, argument("The message's id.")]
    ) -> Message | None:
        ctx = info.context.ctx
        ctx.user  # noqa: B018  # the door: strangers are told so, whatever the id
        with suppress(NotFound):
            id_ = known_id(id, "Message not found")
            return Message.of(await messages.get_message(ctx, id_))
        return None


@strawberry.type
class MessageMutations:
    @strawberry.mutation(
        description="Send a message. It is stored when this answers. A retry with the same"
        " `clientMessageId` answers the first message.",
        graphql_type=Message,
    )
    def send_message(
        self,
        info: Info,
        receiver_id: Annotated[
            ID | None, argument("The receiver; without it and `conversationId`, everybody.")
        ] = None,
        conversation_id: Annotated[
            ID | None,
            argument("In place of `receiverId`: a group, or a direct conversation of yours."),
        ] = None,
        content: Annotated[
            str | None,
            argument(
                "The text: at most 16 KiB in UTF-8, not blank; beside an attachment a caption,"
                " which may be left out."
            ),
        ] = None,
        kind: Annotated[
            MessageKind | None,
            argument(
                "What the content is. Without it: the attachment's kind, or EMOJI for one to"
                " three emoji and nothing else, or TEXT."
            ),
        ] = None,
        attachment_id: Annotated[
            ID | None,
            argument(
                "An upload of yours, or to forward, the attachment of a message that you see."
            ),
        ] = None,
        client_message_id: Annotated[
            str | None,
            argument(
                "A key of your choice, 1 to 128 characters, unique for each message: with it a"
                " retry is safe. Another message under it is a CONFLICT."
            ),
        ] = None,
        reply_to_id: Annotated[
            ID | None,
            argument("A message of the same conversation that you see, to reply to."),
        ] = None,
        metadata: Annotated[
            JSON | None,
            argument(
                "Custom data: an object of at most 4 KiB as JSON (MAX_METADATA_BYTES), nested 10"
                " deep at most. Everybody who sees the message sees it; nothing searches it."
            ),
        ] = None,
    ) -> Pending[Message]:
        return messages.send_message(
            info.context.ctx,
            receiver_id=None
            if receiver_id is None
            else known_id(receiver_id, "Receiver not found"),
            conversation_id=None
            if conversation_id is None
            else known_id(conversation_id, "Conversation not found"),
            content=content or "",
            kind=kind,
            attachment_id=(
                None if attachment_id is None else known_id(attachment_id, "Attachment not found")
            ),
            client_message_id=client_message_id,
            reply_to_id=None if reply_to_id is None else known_id(reply_to_id, UNKNOWN_REPLIED),
            metadata=metadata,
        ).then(show_message)


@strawberry.type
class MessageSubscriptions:
    @strawberry.subscription(
        description="Each message that you may see, your own too, in order and once. With `after`,"
        " first all messages past it: after a cut, pass the last id that you have seen.",
        graphql_type=Message,
    )
    def message_added(
        self,
        info: Info,
        after: Annotated[ID | None, argument("The id of the last message seen; 0 for all.")] = None,
    ) -> Source[Message]:
        ctx, resumption = info.context.ctx, info.context.resumption
        start = ID(resumption.after) if resumption is not None and resumption.after else after

        async def read(consumer: Consumer | None) -> AsyncGenerator[Sequence[StoredMessage], None]:
            watch = messages.watch_messages(ctx, after=_position(start), consumer=consumer)
            async with aclosing(watch) as stream:
                async for record in stream:
                    if resumption is not None:
                        resumption.place = wire_id(record.id)
                    yield (record,)

        return Source(read, show_message)


def _position(value: ID | None) -> int | None:
    if value is None:
        return None
    position = 0 if value == "0" else find_id(value)
    if position is None:
        raise BadInput("after is not a message's id")
    return position
