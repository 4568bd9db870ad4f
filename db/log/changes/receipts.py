"""A user has others see how far they have read, or hides it and sees nothing of others either."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, ClassVar, Self

from sqlalchemy import case, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.groups.members import groups_of_each
from db.log.changes.change import Change, Made, Outcome
from db.models import Conversation, ConversationKind, Member, User
from db.people.accounts import update_accounts
from db.people.blocks import blocks_between
from events.facts import Members, OwnSettingsChanged, People, ReceiptsChanged

# Those of the latest direct conversations are told, at most so many: the others see it in queries.
MOST_TOLD = 5000
# The people of one fact: its audience is one value of a row.
TOLD_AT_ONCE = 1000


class SetReadReceipts(Change, frozen=True, gc=False):
    """Has others see how far a user has read, and the user how far they have; or ends both.

    Those who share a conversation with the user are told, so that they show no older marks.
    """

    author: ClassVar[str] = "user_id"

    user_id: int
    shown: bool

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses nothing."""
        query = select(col(User.id), col(User.read_receipts)).where(
            col(User.id).in_({change.user_id for change in changes})
        )
        before: dict[int, bool] = {row[0]: row[1] for row in await connection.execute(query)}
        after = dict(before)
        movers: list[int] = []  # the users of those changes that change something
        outcomes: list[Outcome] = []
        for change in changes:
            id_, shown = change.user_id, change.shown
            if after.get(id_) in {None, shown}:
                outcomes.append(None)
                continue
            after[id_] = shown
            movers.append(id_)
            body = OwnSettingsChanged(read_receipts=shown)
            outcomes.append(Made(id_, body, People((id_,))))
        edits: dict[int, dict[str, Any]] = {
            id_: {"read_receipts": shown} for id_, shown in after.items() if shown != before[id_]
        }
        await update_accounts(connection, edits)
        if not movers:
            return outcomes
        groups = await groups_of_each(connection, movers)
        peers = {id_: await _peers(connection, id_) for id_ in {*movers}}
        return [
            outcome._replace(also=_told(change, groups[change.user_id], peers[change.user_id]))
            if isinstance(outcome, Made)
            else outcome
            for change, outcome in zip(changes, outcomes, strict=True)
        ]


def _told(change: SetReadReceipts, groups: Collection[int], peers: Sequence[int]) -> Sequence[Made]:
    """Return the facts for those who share a conversation with the user."""
    id_, body = change.user_id, ReceiptsChanged(change.shown)
    return [
        *(
            Made(id_, body, People(tuple(sorted(peers[start : start + TOLD_AT_ONCE]))))
            for start in range(0, len(peers), TOLD_AT_ONCE)
        ),
        *(
            Made(id_, ReceiptsChanged(change.shown, group), Members(group))
            for group in sorted(groups)
        ),
    ]


async def _peers(connection: AsyncConnection, user_id: int) -> list[int]:
    """Return the others of a user's direct conversations, without those kept apart by a block."""
    lower, higher = col(Conversation.lower_user_id), col(Conversation.higher_user_id)
    rows = await connection.execute(
        select(case((lower == user_id, higher), else_=lower))
        .join(Member, col(Member.conversation_id) == col(Conversation.id))
        .where(
            col(Member.user_id) == user_id,
            col(Conversation.kind) == ConversationKind.DIRECT.value,
        )
        .order_by(col(Member.activity).desc())
        .limit(MOST_TOLD)
    )
    found = [id_ for id_ in rows.scalars() if id_ != user_id]
    blocks = await blocks_between(connection, [user_id], found)
    apart = {id_ for pair in blocks for id_ in pair}
    return [id_ for id_ in found if id_ not in apart]
