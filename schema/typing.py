"""Who is typing, in GraphQL."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry import ID, argument, field

from db.models import StoredUser
from events import facts
from events.facts import TypingChanged
from events.slices import Pace
from events.typing import EXPIRY_SECONDS
from resolvers.conversations import typing
from schema.context import Info
from schema.execution.batches import Batch
from schema.execution.recent import RecentTasks
from schema.execution.sources import Source
from schema.loaders import Loaders
from schema.people.users import User
from schema.scalars import known_id, wire_id

# Changes that several watchers, those of a group, need at about one time.
RECENT = 512
# Where a document shows each viewer something else, an event is made for each viewer: at most so
# many, in the whole process.
EVENTS_PER_SECOND = 10_000
EXPIRY = timedelta(seconds=EXPIRY_SECONDS)


@strawberry.enum(description="What a user does in a conversation before a message comes of it.")
class Activity(Enum):
    TYPING = strawberry.enum_value(facts.Activity.TYPING, description="They write a text.")
    RECORDING = strawberry.enum_value(
        facts.Activity.RECORDING, description="They record a voice note."
    )
    NONE = strawberry.enum_value(
        facts.Activity.NONE, description="They have stopped, or sent a message."
    )


@strawberry.type(description="Somebody types or records in a conversation, or has stopped.")
class TypingChange:
    conversation_id: ID | None = field(
        description="Where; null for a direct conversation that has no message yet: then it is the"
        " one with `user`."
    )
    user: User = field(description="Who.")
    activity: Activity = field(description="What they do now.")
    at: datetime = field(description="Since when.")
    expires_at: datetime | None = field(
        description="When it is over unless it is told again; null for NONE. A change to NONE is"
        " sent then too."
    )
    encoded: strawberry.Private[dict[Any, bytes]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, change: TypingChanged, record: StoredUser) -> "TypingChange":
        """Return the change as GraphQL shows it."""
        place, goes_on = change.conversation_id, change.activity is not facts.Activity.NONE
        return cls(
            conversation_id=None if place is None else wire_id(place),
            user=User.of(record),
            activity=Activity(change.activity),
            at=change.at,
            expires_at=change.at + EXPIRY if goes_on else None,
        )


class TypingEvents:
    """The events of changes: each is made once for all who watch."""

    def __init__(self, loaders: Loaders) -> None:
        self.pace = Pace(per_second=EVENTS_PER_SECOND)
        self._loaders = loaders
        self._made: RecentTasks[TypingChanged, TypingChange | None]
        self._made = RecentTasks(self._make, recent=RECENT)

    async def batch(self, changes: Sequence[TypingChanged]) -> Batch:
        """Return the events of these changes."""
        made = await asyncio.gather(*(self._made.of(change) for change in changes))
        return Batch([event for event in made if event is not None])

    async def _make(self, change: TypingChanged) -> TypingChange | None:
        record = await self._loaders.users.load(change.user_id)
        return None if record is None else TypingChange.of(change, record)


def _events_of(loaders: Loaders) -> TypingEvents:
    if loaders.typing is None:
        loaders.typing = TypingEvents(loaders)
    events: TypingEvents = loaders.typing
    return events


@strawberry.type
class TypingMutations:
    @strawberry.mutation(
        description="Tell the others of a conversation what you do: every few seconds while you do"
        " it, for it is over after 6, and NONE when you stop. Sending a message ends it too. True."
    )
    async def set_typing(
        self,
        info: Info,
        conversation_id: Annotated[ID | None, argument("The conversation.")] = None,
        with_: Annotated[
            ID | None,
            argument(name="with", description="Or the other person of a direct one."),
        ] = None,
        activity: Annotated[Activity | None, argument("What you do now.")] = Activity.TYPING,
    ) -> bool:
        await typing.set_typing(
            info.context.ctx,
            conversation_id=(
                None
                if conversation_id is None
                else known_id(conversation_id, "Conversation not found")
            ),
            peer_id=None if with_ is None else known_id(with_, "User not found"),
            activity=facts.Activity[(activity or Activity.TYPING).name],
        )
        return True


@strawberry.type
class TypingSubscriptions:
    @strawberry.subscription(
        description="What others do in all your conversations: each change from now on. It is over"
        " after 6 seconds unless it is told again; NONE says so.",
        graphql_type=TypingChange,
    )
    def typing(self, info: Info) -> Source[TypingChange]:
        ctx, events = info.context.ctx, _events_of(info.context.loaders)

        async def read(consumer: object) -> AsyncGenerator[Batch, None]:
            async with aclosing(typing.watch_typing(ctx)) as stream:
                async for changes in stream:
                    yield await events.batch(changes)

        return Source(read, pace=events.pace)
