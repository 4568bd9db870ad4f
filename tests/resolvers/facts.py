"""Facts of any kind, stored without the operation that makes them; groups and their members."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.statements import insert_row
from db.log.changes.change import Change, Made, Outcome
from db.models import Conversation, Member
from events.facts import Audience, Body, Fact
from resolvers.changes import commit
from resolvers.context import Context
from tests.db.rows import NOW


class Say(Change, frozen=True, gc=False):
    """Stores this fact, and changes nothing else."""

    actor_id: int
    body: Body
    audience: Audience

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses nothing."""
        return [Made(change.actor_id, change.body, change.audience) for change in changes]


async def say(ctx: Context, body: Body, audience: Audience) -> Fact:
    """Store a fact of the viewer's."""
    fact = await commit(ctx, Say(ctx.user.id, body, audience))
    assert fact is not None
    return fact


async def add_group(
    ctx: Context, members: dict[int, tuple[int, int | None]], *, shows_earlier: bool = False
) -> int:
    """Insert a group; `members` says where in the log each joined, and perhaps left."""
    async with ctx.write() as connection:
        values = {"kind": "GROUP", "title": "G", "shows_earlier": shows_earlier, "created_at": NOW}
        group = await insert_row(connection, Conversation, values)
        rows = [
            {
                "conversation_id": group,
                "user_id": user_id,
                "role": "MEMBER",
                "joined_position": joined,
                "sees_after": 0 if shows_earlier else joined,
                "left_position": left,
                "activity": 0,
                "read_position": 0,
                "archived": False,
                "pinned": False,
                "is_group": True,
                "joined_at": NOW,
            }
            for user_id, (joined, left) in members.items()
        ]
        await connection.execute(insert(Member), rows)
    return group
