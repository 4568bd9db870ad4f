"""Who is in groups, while changes of a batch are made to them one after the other."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from db.groups import members
from db.groups.members import GroupMember
from db.models import MemberRole

# Who may do more has a higher rank.
RANKS = {MemberRole.MEMBER: 0, MemberRole.ADMIN: 1, MemberRole.OWNER: 2}


class Membership:
    """The people of the groups that a run of changes names: each change sees those before it."""

    def __init__(
        self, rows: Iterable[GroupMember], now: datetime, counts: Mapping[int, int] | None = None
    ) -> None:
        """`counts` says in how many groups users are, where `groups_of` will be asked."""
        self._now = now
        self._counts = Counter(counts)
        self._before: dict[tuple[int, int], GroupMember] = {}
        self._rows: dict[int, dict[int, GroupMember]] = {}
        for row in rows:
            self._before[row.conversation_id, row.user_id] = row
            self._put(row)

    def present(self, conversation_id: int) -> dict[int, GroupMember]:
        """Return who is in the group, by their ids."""
        rows = self._rows.get(conversation_id, {})
        return {id_: row for id_, row in rows.items() if row.left_position is None}

    def role_of(self, conversation_id: int, user_id: int) -> MemberRole | None:
        """Return the user's role; None for somebody who is not in the group."""
        row = self._rows.get(conversation_id, {}).get(user_id)
        return None if row is None or row.left_position is not None else row.role

    def groups_of(self, user_id: int) -> int:
        """Return in how many groups the user is, by the changes so far."""
        return self._counts[user_id]

    def join(
        self, conversation_id: int, user_id: int, position: int, *, shows_earlier: bool
    ) -> None:
        """Have a user be in the group from a position on."""
        sees_after = 0 if shows_earlier else position
        self._counts[user_id] += 1
        self._put(
            GroupMember(
                conversation_id, user_id, MemberRole.MEMBER, position, sees_after, None, self._now
            )
        )

    def set_role(self, conversation_id: int, user_id: int, role: MemberRole) -> None:
        """Give somebody who is in the group another role."""
        self._put(replace(self._rows[conversation_id][user_id], role=role))

    def leave(self, conversation_id: int, user_id: int, position: int) -> tuple[int, ...]:
        """Have a user leave the group at a position; return who has become its owner by that."""
        row = self._rows[conversation_id][user_id]
        self._counts[user_id] -= 1
        self._put(replace(row, left_position=position, role=MemberRole.MEMBER))
        rest = self.present(conversation_id).values()
        if not rest or any(other.role is MemberRole.OWNER for other in rest):
            return ()
        heir = min(
            rest,
            key=lambda row: (-RANKS[row.role], row.joined_at, row.joined_position, row.user_id),
        )
        self.set_role(conversation_id, heir.user_id, MemberRole.OWNER)
        return (heir.user_id,)

    async def save(
        self, connection: AsyncConnection, position: int, *, come_back: bool = True
    ) -> None:
        """Write what has changed. Who leaves may look at the group later, if they `come_back`."""
        rows = [row for of_group in self._rows.values() for row in of_group.values()]
        new = [row for row in rows if (row.conversation_id, row.user_id) not in self._before]
        old = [
            (self._before[row.conversation_id, row.user_id], row)
            for row in rows
            if (row.conversation_id, row.user_id) in self._before
        ]
        await members.insert_members(connection, new, position)
        await members.update_members(connection, [row for was, row in old if row != was])
        if come_back:
            left = [row for was, row in old if was.left_position is None and _has_left(row)]
            await members.note_leaving(connection, left)
        again = [row for was, row in old if row.joined_at != was.joined_at]
        await members.renew_members(connection, again, position)

    def _put(self, row: GroupMember) -> None:
        self._rows.setdefault(row.conversation_id, {})[row.user_id] = row


def _has_left(row: GroupMember) -> bool:
    return row.left_position is not None
