"""Presence in GraphQL."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import ID, argument, field

from db.models import StoredUser
from events.facts import PresenceChanged
from events.latest import MOST_AT_ONCE
from events.slices import Pace
from resolvers.people import presence
from schema.context import Info
from schema.execution.batches import Batch
from schema.execution.recent import RecentTasks
from schema.execution.sources import Source
from schema.loaders import Loaders
from schema.people.users import User

# How old a user's name may be in an event: all watchers share the users that were loaded.
KEPT_SECONDS = 10.0
# How many windows, and parts of the list for newcomers, several watchers need at about one time.
RECENT = 64
# Where a document shows each viewer something else, an event is made for each viewer: at most so
# many, in the whole process.
EVENTS_PER_SECOND = 10_000


@strawberry.type(description="A user came online or went offline.")
class PresenceChange:
    user: User = field(description="The user.")
    online: bool = field(description="Whether they are online now.")
    last_seen_at: datetime | None = field(
        description="When their last connection ended; null while online."
    )
    encoded: strawberry.Private[dict[Any, bytes]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, change: PresenceChanged, record: StoredUser) -> "PresenceChange":
        """Return the change as GraphQL shows it."""
        return cls(user=User.of(record), online=change.online, last_seen_at=change.last_seen_at)


class PresenceEvents:
    """The events of changes in presence: made once for all subscriptions."""

    def __init__(self, loaders: Loaders) -> None:
        self.pace = Pace(per_second=EVENTS_PER_SECOND)
        self._loaders = loaders
        self._made: dict[PresenceChanged, PresenceChange | None] = {}
        self._forget_at = 0.0
        self._batches: RecentTasks[Sequence[PresenceChanged], Batch]
        self._batches = RecentTasks(self._make, recent=RECENT)

    async def batch(self, changes: Sequence[PresenceChanged]) -> Batch:
        """Return the events of these changes; the same batch for the same sequence object."""
        return await self._batches.of(changes)

    async def _make(self, changes: Sequence[PresenceChanged]) -> Batch:
        now = asyncio.get_running_loop().time()
        if now >= self._forget_at:
            self._forget_at = now + KEPT_SECONDS
            self._made = {}
        made = self._made
        if missing := [change for change in changes if change not in made]:
            records = await self._loaders.users.load_many([change.user_id for change in missing])
            for change, record in zip(missing, records, strict=True):
                made[change] = None if record is None else PresenceChange.of(change, record)
        found = [made[change] for change in changes]
        return Batch([event for event in found if event is not None])


def _events_of(loaders: Loaders) -> PresenceEvents:
    if loaders.presence is None:
        loaders.presence = PresenceEvents(loaders)
    events: PresenceEvents = loaders.presence
    return events


@strawberry.type
class PresenceSubscriptions:
    @strawberry.subscription(
        description="First each user who is online now, then each change. A user is online while a"
        " connection of theirs is open, and for a few seconds after.",
        graphql_type=PresenceChange,
    )
    def presence(
        self,
        info: Info,
        user_ids: Annotated[
            list[ID] | None,
            argument(
                "The users to watch, 1,000 at most; null for all. Nothing is told of an id that is"
                " unknown, or that you may not see."
            ),
        ] = None,
    ) -> Source[PresenceChange]:
        ctx, events = info.context.ctx, _events_of(info.context.loaders)

        async def read(consumer: object) -> AsyncGenerator[Batch, None]:
            async with aclosing(presence.watch_presence(ctx, user_ids)) as stream:
                async for changes in stream:
                    for start in range(0, len(changes), MOST_AT_ONCE):
                        # A slice of the whole tuple is the tuple itself, whose batch is shared.
                        yield await events.batch(changes[start : start + MOST_AT_ONCE])

        return Source(read, pace=events.pace)
