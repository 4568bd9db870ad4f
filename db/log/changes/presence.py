"""A user becomes invisible, or visible again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from db.log.changes.blocks import UnknownUser
from db.log.changes.change import Change, Made, Outcome
from db.people.accounts import update_accounts
from db.people.users import lock_invisible
from events.facts import OwnSettingsChanged, People


class SetInvisible(Change, frozen=True, gc=False):
    """Shows a user offline to everybody else, or as they are.

    `was_online` has others see that the user left now; else they see the time that was known.
    """

    author: ClassVar[str] = "user_id"

    user_id: int
    invisible: bool
    was_online: bool = False

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses with UnknownUser."""
        known = await lock_invisible(connection, {change.user_id for change in changes})
        edits: dict[int, dict[str, Any]] = {}
        outcomes: list[Outcome] = []
        for change in changes:
            id_ = change.user_id
            if id_ not in known:
                outcomes.append(UnknownUser())
            elif known[id_] is change.invisible:
                outcomes.append(None)
            else:
                known[id_] = change.invisible
                edit = edits.setdefault(id_, {})
                edit["invisible"] = change.invisible
                if change.invisible and change.was_online:
                    edit["last_seen_at"] = now
                body = OwnSettingsChanged(invisible=change.invisible)
                outcomes.append(Made(id_, body, People((id_,))))
        await update_accounts(connection, edits)
        return outcomes
