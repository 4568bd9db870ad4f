"""Who may write to everybody: the operator's setting, which all processes follow at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Self

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.facts import read_broadcasters
from db.log.changes.change import Change, Made, Outcome
from db.models import LogHead
from events.facts import BroadcastChanged


class SetBroadcasters(Change, frozen=True, gc=False):
    """Has all servers of this database go by this value of BROADCAST."""

    decides: ClassVar[bool] = True

    allowed: str

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses nothing."""
        outcomes: list[Outcome] = []
        known = await read_broadcasters(connection)
        for change in changes:
            if change.allowed == known:
                outcomes.append(None)
                continue
            known = change.allowed
            await connection.execute(update(LogHead).values(broadcast=known))
            outcomes.append(Made(None, BroadcastChanged(known)))
        return outcomes
