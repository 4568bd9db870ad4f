"""Presence in GraphQL."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime

import strawberry

from resolvers import presence
from schema.context import Info
from schema.users import User


@strawberry.type(description="Someone came online or went offline.")
class PresenceChange:
    user: User = strawberry.field(description="Who.")
    online: bool = strawberry.field(description="Whether they are online now.")
    last_seen_at: datetime | None = strawberry.field(
        description="When their last connection ended; null while online."
    )


@strawberry.type
class PresenceSubscriptions:
    @strawberry.subscription(
        description="First everyone who is online now, one by one, then each change. A user is"
        " online while any connection of theirs is open, and for a short grace after."
    )
    async def presence(self, info: Info) -> AsyncGenerator[PresenceChange, None]:
        loaders = info.context.loaders
        async with aclosing(presence.watch_presence(info.context.ctx)) as stream:
            async for changes in stream:
                records = await loaders.users.load_many([change.user_id for change in changes])
                for change, record in zip(changes, records, strict=True):
                    if record is not None:
                        yield PresenceChange(
                            user=User.of(record),
                            online=change.online,
                            last_seen_at=change.last_seen_at,
                        )
