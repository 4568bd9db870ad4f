"""Somebody blocks somebody, or ends that."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from db.log.changes.change import Change, Made, Outcome, Refused
from db.people import blocks
from db.people.users import existing_ids
from events.facts import BlockChanged, People


class UnknownUser(Refused):
    """There is no such user."""


class TooManyBlocks(Refused):
    """The user has blocked `count` users: no more are allowed."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class ChangeBlock(Change, frozen=True, gc=False):
    """Has one user block another, or with `blocked=False` ends it; no more than `most` at once."""

    decides: ClassVar[bool] = True
    author: ClassVar[str] = "blocker_id"

    blocker_id: int
    user_id: int
    blocked: bool
    most: int = 0

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses with UnknownUser and TooManyBlocks."""
        known = await existing_ids(connection, {change.user_id for change in changes})
        before = await blocks.blocked_by(connection, {change.blocker_id for change in changes})
        after = defaultdict(set, {id_: {*blocked} for id_, blocked in before.items()})
        outcomes = [_apply(change, after[change.blocker_id], known) for change in changes]
        old = {(id_, blocked) for id_, ids in before.items() for blocked in ids}
        new = {(id_, blocked) for id_, ids in after.items() for blocked in ids}
        await blocks.delete_blocks(connection, old - new)
        await blocks.insert_blocks(connection, new - old, now)
        return outcomes


def _apply(change: ChangeBlock, blocked: set[int], known: set[int]) -> Outcome:
    if change.blocked == (change.user_id in blocked):
        return None
    if change.blocked:
        if change.user_id not in known:
            return UnknownUser()
        if len(blocked) >= change.most:
            return TooManyBlocks(len(blocked))
        blocked.add(change.user_id)
    else:
        blocked.discard(change.user_id)
    body = BlockChanged(change.user_id, change.blocked)
    # Their own clients alone: nobody is told who has blocked them.
    return Made(change.blocker_id, body, People((change.blocker_id,)))
