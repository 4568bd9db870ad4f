"""Events in GraphQL: everything that changes for the viewer, as types of one interface."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Annotated, Any, cast

import strawberry
from strawberry import ID, argument, field

from db.models import StoredMessage
from events import facts
from events.facts import Fact
from events.subscription import Consumer
from resolvers import events
from resolvers.context import Context
from resolvers.conversations import listing
from resolvers.errors import NotFound
from resolvers.people import settings
from schema.context import Info, own_loaders
from schema.conversations import Conversation
from schema.execution.plans import SAME_FOR_ALL
from schema.execution.recent import RecentCache
from schema.execution.sources import Source
from schema.messages import Message, show_message
from schema.people.settings import Settings
from schema.people.users import User
from schema.scalars import wire_id


@strawberry.interface(
    description="Something that changed for you. Types may be added: ask for `__typename`, and pass"
    " over those that you do not know."
)
class Event:
    cursor: str = field(
        description="Opaque. As `after` of `events` it gives all that follows this event."
    )
    at: datetime = field(description="When the server stored it.")
    # Nullable in every type: fragments on two types may then select it side by side.
    conversation_id: ID | None = field(
        description="The conversation that it is about; null where it is about none, or about all."
    )

    @field(
        description="The conversation that it is about, as you see it now; null where it is about"
        " none, about all, or about one that you are not in."
    )
    async def conversation(self, info: Info) -> Conversation | None:
        if self.conversation_id is None:
            return None
        return await _conversation(info, self.conversation_id)


@strawberry.type(description="Somebody, perhaps you, sent a message that you may see.")
class MessageSent(Event):
    message: Message = field(description="The message.")


@strawberry.type(description="Its sender has changed the text of a message.")
class MessageEdited(Event):
    message: Message = field(description="The message as it is now: put it in the place of yours.")


@strawberry.type(description="A message was deleted: its content is gone, its place stays.")
class MessageDeleted(Event):
    message_id: ID = field(description="The message's id.")
    message: Message = field(description="What is left of the message: put it in place of yours.")


@strawberry.type(description="Somebody put an emoji to a message, or removed theirs.")
class ReactionChanged(Event):
    message_id: ID = field(description="The message's id.")
    message: Message = field(description="The message as it is now.")
    user_id: ID = field(description="Whose reaction it is.")
    emoji: str = field(description="The emoji.")
    added: bool = field(description="Whether it was added; else it was removed.")

    @field(description="Whose reaction it is.", metadata=SAME_FOR_ALL)
    async def user(self, info: Info) -> User:
        return await _user(info, self.user_id)


@strawberry.type(
    description="Somebody, perhaps you on another device, has read a conversation up to a message,"
    " or has got everything up to one."
)
class MarksMoved(Event):
    user_id: ID = field(description="Whose marks they are.")
    read_up_to: ID | None = field(
        description="They have read up to here; null if this mark did not move."
    )
    delivered_up_to: ID | None = field(
        description="They were sent everything up to here; null if this mark did not move."
    )

    @field(description="Whose marks they are.", metadata=SAME_FOR_ALL)
    async def user(self, info: Info) -> User:
        return await _user(info, self.user_id)


@strawberry.type(
    description="A group was made, or its title, its picture or its rules are other ones now."
)
class ConversationChanged(Event):
    pass


@strawberry.type(description="People joined a group or left it, or have another role in it.")
class MembersChanged(Event):
    joined_ids: list[ID] = field(description="Who joined.")
    left_ids: list[ID] = field(description="Who left, or was removed: perhaps you.")
    changed_ids: list[ID] = field(description="Whose role is another one now.")

    @field(description="Who joined.", metadata=SAME_FOR_ALL)
    async def joined(self, info: Info) -> list[User]:
        return await _users(info, self.joined_ids)

    @field(description="Who left, or was removed: perhaps you.", metadata=SAME_FOR_ALL)
    async def left(self, info: Info) -> list[User]:
        return await _users(info, self.left_ids)

    @field(description="Whose role is another one now.", metadata=SAME_FOR_ALL)
    async def changed(self, info: Info) -> list[User]:
        return await _users(info, self.changed_ids)


@strawberry.type(description="A user's name, status text or picture is another one.")
class UserChanged(Event):
    user_id: ID = field(description="The user's id.")

    @field(description="The user as they are now.", metadata=SAME_FOR_ALL)
    async def user(self, info: Info) -> User:
        return await _user(info, self.user_id)


@strawberry.type(
    description="You have changed settings of your own, perhaps on another device: of one"
    " conversation, or of the account."
)
class SettingsChanged(Event):
    changed: strawberry.Private[facts.OwnSettingsChanged]

    @field(
        description="Those of the account: what was changed as it became by that, the rest as it is"
        " now."
    )
    async def settings(self, info: Info) -> Settings:
        now = await settings.get_settings(info.context.ctx)
        # By the values of now a client that reads late would not see that it was told nothing of
        # others' marks for a while: it would not query them again.
        return Settings.of(settings.as_changed(now, self.changed))


@strawberry.type(
    description="You have blocked somebody, perhaps on another device, or have ended the block."
    " While it lasts you see no message of theirs to everybody, and nothing of their presence and"
    " their marks in your direct conversation; when it ends, query these again."
)
class BlockChanged(Event):
    user_id: ID = field(description="Whom you have blocked, or no longer block.")
    blocked: bool = field(description="Whether you block them now.")

    @field(description="Whom you have blocked, or no longer block.", metadata=SAME_FOR_ALL)
    async def user(self, info: Info) -> User:
        return await _user(info, self.user_id)


@strawberry.type(
    description="Somebody with whom you share conversations shows their read marks from now on, or"
    " hides them. There is one event for each group, and one for your direct conversation."
)
class ReceiptsChanged(Event):
    user_id: ID = field(description="Whose read marks they are.")
    shown: bool = field(
        description="Whether you see them now. If not, forget those that you have; if so, take them"
        " from `conversation { marks }`."
    )

    @field(
        description="The group, or without a `conversationId` your direct conversation with the"
        " user, as you see it now."
    )
    async def conversation(self, info: Info) -> Conversation | None:
        if self.conversation_id is not None:
            return await _conversation(info, self.conversation_id)
        try:
            ctx = info.context.ctx
            record = await listing.get_conversation(ctx, with_id=int(self.user_id))
        except NotFound:
            return None
        return Conversation.of(record)

    @field(description="Whose read marks they are.", metadata=SAME_FOR_ALL)
    async def user(self, info: Info) -> User:
        return await _user(info, self.user_id)


# No field has one of these as its own type: the schema has to be told of them.
EVENT_TYPES = (
    MessageSent,
    MessageEdited,
    MessageDeleted,
    ReactionChanged,
    MarksMoved,
    ConversationChanged,
    MembersChanged,
    UserChanged,
    SettingsChanged,
    ReceiptsChanged,
    BlockChanged,
)


async def _conversation(info: Info, id_: ID) -> Conversation | None:
    record = await own_loaders(info).conversations.load(int(id_))
    return None if record is None else Conversation.of(record)


async def _user(info: Info, user_id: ID) -> User:
    [found] = await _users(info, [user_id])
    return found


async def _users(info: Info, ids: Sequence[ID]) -> list[User]:
    records = await info.context.loaders.users.load_many([int(id_) for id_ in ids])
    if None in records:
        raise NotFound("User not found")
    return [User.of(record) for record in records if record is not None]


def _ids(ids: Sequence[int]) -> list[ID]:
    return [wire_id(id_) for id_ in ids]


def _optional_id(id_: int | None) -> ID | None:
    return None if id_ is None else wire_id(id_)


# What the event of each fact has beside what every event has, of the fact and its body.
_FIELDS: dict[type, tuple[type[Event], Callable[[Fact, Any], dict[str, Any]]]] = {
    facts.MessageEdited: (MessageEdited, lambda fact, body: {"message": _message_of(fact)}),
    facts.MessageDeleted: (
        MessageDeleted,
        lambda fact, body: {
            "message_id": wire_id(body.message_id),
            "message": _message_of(fact),
        },
    ),
    facts.ReactionChanged: (
        ReactionChanged,
        lambda fact, body: {
            "message_id": wire_id(body.message_id),
            "message": _message_of(fact),
            "user_id": _actor_of(fact),
            "emoji": body.emoji,
            "added": body.added,
        },
    ),
    facts.MarksMoved: (
        MarksMoved,
        lambda fact, body: {
            "user_id": _actor_of(fact),
            "read_up_to": _optional_id(body.read_position),
            "delivered_up_to": _optional_id(body.delivered_position),
        },
    ),
    facts.ConversationChanged: (ConversationChanged, lambda fact, body: {}),
    facts.MembersChanged: (
        MembersChanged,
        lambda fact, body: {
            "joined_ids": _ids(body.joined),
            "left_ids": _ids(body.left),
            "changed_ids": _ids(body.changed),
        },
    ),
    facts.UserChanged: (UserChanged, lambda fact, body: {"user_id": _actor_of(fact)}),
    facts.OwnSettingsChanged: (SettingsChanged, lambda fact, body: {"changed": body}),
    facts.ReceiptsChanged: (
        ReceiptsChanged,
        lambda fact, body: {"user_id": _actor_of(fact), "shown": body.shown},
    ),
    facts.BlockChanged: (
        BlockChanged,
        lambda fact, body: {"user_id": wire_id(body.user_id), "blocked": body.blocked},
    ),
}


def _message_of(fact: Fact) -> Message:
    return show_message(cast("StoredMessage", fact.record))  # watch_events gives no other


def _actor_of(fact: Fact) -> ID:
    assert fact.actor_id is not None  # noqa: S101  # the operator makes none of these facts
    return wire_id(fact.actor_id)


def _make(entry: events.Event, ctx: Context) -> Event:
    cursor = events.cursor_at(ctx, entry.id)
    if not isinstance(entry, Fact):
        return MessageSent(
            cursor=cursor,
            at=entry.created_at,
            conversation_id=wire_id(entry.conversation_id),
            message=show_message(entry),
        )
    kind, fields = _FIELDS[type(entry.body)]
    where = getattr(entry.body, "conversation_id", None)
    return kind(
        cursor=cursor,
        at=entry.created_at,
        conversation_id=_optional_id(where),
        **fields(entry, entry.body),
    )


# All subscribers get one object: each document's result of it is encoded once.
_shared: RecentCache[events.Event, Event] = RecentCache(_make)


def _show(ctx: Context, entry: events.Event) -> Event:
    return _shared.of(entry, ctx)


@strawberry.type
class EventSubscriptions:
    @strawberry.subscription(
        description="Everything that changes for you, in order and once: messages, and what becomes"
        " of them, of conversations, people and your own settings. With `after`, first all that"
        " happened since: so a client that was cut off, or that has just queried, misses nothing."
        " A cursor that leads nowhere is `CURSOR_EXPIRED`: query anew, and go on from there.",
        graphql_type=Event,
    )
    def events(
        self,
        info: Info,
        after: Annotated[
            str | None,
            argument(
                "The cursor of the last event seen, or of what you queried; without it, only what"
                " comes from now on."
            ),
        ] = None,
    ) -> Source[Event]:
        ctx, resumption = info.context.ctx, info.context.resumption
        start = after if resumption is None else resumption.after or after

        async def read(consumer: Consumer | None) -> AsyncGenerator[Sequence[events.Event], None]:
            watch = events.watch_events(ctx, after=start, consumer=consumer)
            async with aclosing(watch) as stream:
                async for entry in stream:
                    if resumption is not None:
                        resumption.place = events.cursor_at(ctx, entry.id)
                    yield (entry,)

        return Source(read, partial(_show, ctx))
