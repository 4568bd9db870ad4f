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
from resolvers import presence
from schema.context import Info
from schema.execution.batches import Batch
from schema.execution.recent import RecentCache
from schema.execution.sources import Source
from schema.loaders import Loaders
from schema.users import User

# How long a person who was looked up is shown so, at most: all who watch share them.
KEPT_SECONDS = 10.0
# Windows, and parts of what a newcomer is told, that are shared at about the same time.
RECENT = 64
# Events of those whose document shows each viewer something else: each is made for one of them.
EVENTS_PER_SECOND = 10_000


@strawberry.type(description="Someone came online or went offline.")
class PresenceChange:
    user: User = field(description="Who.")
    online: bool = field(description="Whether they are online now.")
    last_seen_at: datetime | None = field(
        description="When their last connection ended; null while online."
    )
    encoded: strawberry.Private[dict[Any, bytes]] = dataclasses.field(default_factory=dict)


def _event(change: PresenceChanged, record: StoredUser) -> PresenceChange:
    return PresenceChange(
        user=User.of(record), online=change.online, last_seen_at=change.last_seen_at
    )


class Shown:
    """The changes as GraphQL shows them: looked up and made once for all subscriptions."""

    def __init__(self, loaders: Loaders) -> None:
        self.pace = Pace(per_second=EVENTS_PER_SECOND)
        self._loaders = loaders
        self._made: dict[PresenceChanged, PresenceChange | None] = {}
        self._forget_at = 0.0
        self._making: RecentCache[Sequence[PresenceChanged], asyncio.Task[Batch]]
        self._making = RecentCache(self._start, recent=RECENT)

    async def batch(self, changes: Sequence[PresenceChanged]) -> Batch:
        """Return the events of these changes; the same for the same sequence."""
        return await asyncio.shield(self._making.of(changes))  # others wait for it too

    def _start(self, changes: Sequence[PresenceChanged]) -> asyncio.Task[Batch]:
        task = asyncio.create_task(self._make(changes))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _make(self, changes: Sequence[PresenceChanged]) -> Batch:
        self._forget()
        made = self._made
        if missing := [change for change in changes if change not in made]:
            ids = [change.user_id for change in missing]
            records = await self._loaders.users.load_many(ids)
            for change, record in zip(missing, records, strict=True):
                made[change] = None if record is None else _event(change, record)
        found = [made[change] for change in changes]
        return Batch([event for event in found if event is not None])

    def _forget(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._forget_at:
            self._forget_at = now + KEPT_SECONDS
            self._made = {}


def _shown_by(loaders: Loaders) -> Shown:
    if loaders.presence is None:
        loaders.presence = Shown(loaders)
    shown: Shown = loaders.presence
    return shown


@strawberry.type
class PresenceSubscriptions:
    @strawberry.subscription(
        description="First everyone who is online now, one by one, then each change. A user is"
        " online while any connection of theirs is open, and for a short grace after.",
        graphql_type=PresenceChange,
    )
    def presence(
        self,
        info: Info,
        user_ids: Annotated[
            list[ID] | None,
            argument(
                "Whom to watch, 1,000 at most; null for everyone. An id that is"
                " unknown, or not to be seen, is passed over."
            ),
        ] = None,
    ) -> Source[PresenceChange]:
        ctx, shown = info.context.ctx, _shown_by(info.context.loaders)

        async def read(front: object) -> AsyncGenerator[Batch, None]:
            async with aclosing(presence.watch_presence(ctx, user_ids)) as stream:
                async for changes in stream:
                    for start in range(0, len(changes), MOST_AT_ONCE):
                        # The same tuple if it is whole: its batch is made once for all.
                        yield await shown.batch(changes[start : start + MOST_AT_ONCE])

        return Source(read, pace=shown.pace)
