"""Who is in the groups that messages are for, as a process that writes the log knows it."""

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from db.groups.members import find_present
from events.facts import MembersChanged

# So many members of all known groups together are kept: those of the groups learned last.
KNOWN_MEMBERS = 500_000


class KnownGroups:
    """The members of groups, as of the control facts that this process has applied.

    A group is learned when the first message for it comes, and follows the facts from then on.
    """

    def __init__(self) -> None:
        self._present: dict[int, set[int]] = {}  # by group, the one learned last at the end
        self._members = 0

    def __contains__(self, conversation_id: int) -> bool:
        return conversation_id in self._present

    def is_in(self, user_id: int, conversation_id: int) -> bool:
        """Whether the user is in the group now. False for a group that is not known."""
        return user_id in self._present.get(conversation_id, ())

    async def learn(self, connection: AsyncConnection, ids: Collection[int]) -> None:
        """Read who is in those of these conversations that are groups.

        The transaction has locked the log's head, and this process has applied all facts up to it.
        """
        found = await find_present(connection, ids)
        for conversation_id, members in found.items():
            self._forget(conversation_id)
            self._present[conversation_id] = members
            self._members += len(members)
        while self._members > KNOWN_MEMBERS and len(self._present) > len(found):
            self._forget(next(iter(self._present)))

    def apply(self, changed: MembersChanged) -> None:
        """Note who has joined a group, and who has left it."""
        members = self._present.get(changed.conversation_id)
        if members is not None:
            before = len(members)
            members |= {*changed.joined}
            members -= {*changed.left}
            self._members += len(members) - before

    def clear(self) -> None:
        """Know no group any more: the log has lost facts."""
        self._present.clear()
        self._members = 0

    def _forget(self, conversation_id: int) -> None:
        self._members -= len(self._present.pop(conversation_id, ()))
