"""Somebody changes their own settings of a conversation, or of their account."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Final, Self

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.engines.statements import rows_by_key
from db.log.changes.change import Change, Made, Outcome, Refused
from db.models import EVERYBODY_ID, Member, utc_from
from events.facts import OwnSettingsChanged, People


class Unchanged(Enum):
    """What stands for a setting that is left as it is."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


class UnknownConversation(Refused):
    """The user is not in such a conversation."""


class SetOwnSettings(Change, frozen=True, gc=False):
    """Mutes, archives or pins a conversation for one of its members."""

    author: ClassVar[str] = "user_id"

    user_id: int
    conversation_id: int
    muted_until: datetime | Unchanged | None = UNCHANGED
    archived: bool | Unchanged = UNCHANGED
    pinned: bool | Unchanged = UNCHANGED
    # Where a row of the conversation of everybody begins, if the user has none yet.
    joined_position: int = 0

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses with UnknownConversation."""
        rows = await member_rows(connection, changes)
        outcomes: list[Outcome] = []
        for change in changes:
            row = rows.get((change.conversation_id, change.user_id))
            if row is None:
                outcomes.append(UnknownConversation())
                continue
            given = {
                "muted_until": change.muted_until,
                "archived": change.archived,
                "pinned": change.pinned,
            }
            new = {k: v for k, v in given.items() if v is not UNCHANGED and v != row[k]}
            if not new:
                outcomes.append(None)
                continue
            row.update(new)
            await connection.execute(
                update(Member)
                .where(
                    col(Member.conversation_id) == change.conversation_id,
                    col(Member.user_id) == change.user_id,
                )
                .values(**new)
            )
            body = OwnSettingsChanged(change.conversation_id)
            outcomes.append(Made(change.user_id, body, People((change.user_id,))))
        return outcomes


_COLUMNS = (
    "conversation_id", "user_id", "role", "joined_position", "left_position", "activity",
    "read_position", "muted_until", "archived", "pinned",
)  # fmt: skip


async def member_rows(
    connection: AsyncConnection, changes: Sequence[Any]
) -> dict[tuple[int, int], dict[str, Any]]:
    """Return the rows of these changes' conversations and users, as far as there are any.

    For the conversation of everybody, in which everybody is, those that lack are made.
    """
    keys = {(change.conversation_id, change.user_id) for change in changes}
    found = await rows_by_key(connection, "members", _COLUMNS[:2], sorted(keys), wanted=_COLUMNS)
    rows = {(row[0], row[1]): dict(zip(_COLUMNS, row, strict=True)) for row in found}
    for row in rows.values():
        row["muted_until"] = row["muted_until"] and utc_from(row["muted_until"])
    new = {
        change.user_id: change.joined_position
        for change in changes
        if change.conversation_id == EVERYBODY_ID and (EVERYBODY_ID, change.user_id) not in rows
    }
    for user_id, joined in new.items():
        rows[EVERYBODY_ID, user_id] = {
            "conversation_id": EVERYBODY_ID,
            "user_id": user_id,
            "role": "MEMBER",
            "joined_position": joined,
            "left_position": None,
            "activity": 0,
            "read_position": 0,
            "muted_until": None,
            "archived": False,
            "pinned": False,
        }
    if new:
        made = [rows[EVERYBODY_ID, user_id] for user_id in new]
        await connection.execute(insert(Member), made)
    return rows
