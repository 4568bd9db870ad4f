"""Changes to a stored message and to what belongs to it: who may make them."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.statements import rows_by_key
from db.log.changes.change import Change, Refused
from db.log.changes.sessions import NotUsable
from db.messages import Original, read_originals
from db.models import StoredMessage
from db.people.blocks import find_apart
from db.people.users import find_senders
from events.facts import Audience, Members, People

Pair = tuple[int, int]


class UnknownMessage(Refused):
    """There is no such message that the user may see."""


class NotYours(Refused):
    """The message is another user's."""


class IsDeleted(Refused):
    """The message was deleted."""


class Unreachable(Refused):
    """The other person is gone or kept apart by a block, or the user has left the group."""


class OfMessage(Change, frozen=True, gc=False):
    """A change by a user to a message. Broadcasts up to `broadcasts_after` are hidden from them."""

    user_id: int
    message_id: int
    broadcasts_after: int


class _Membership(NamedTuple):
    role: str
    sees_after: int
    left_position: int | None

    def shows(self, position: int) -> bool:
        """Whether the member may see the message at this position."""
        return position > self.sees_after and (
            self.left_position is None or position < self.left_position
        )


class Standing:
    """The messages that changes name, as they are now, and what their users may do with them.

    It is read with the log's head locked: no block, no account and no message changes meanwhile.
    """

    def __init__(self) -> None:
        # Whoever writes a message puts its new state here, for the batch's later changes.
        self.originals: dict[int, Original] = {}
        self._may_send: dict[int, bool] = {}
        self._apart: set[Pair] = set()
        self._memberships: dict[Pair, _Membership] = {}

    @classmethod
    async def of(cls, connection: AsyncConnection, changes: Sequence[OfMessage]) -> "Standing":
        """Read what these changes need to be judged: the messages, and then what their people may.

        Each is one statement. The people of many messages are often the same.
        """
        found = cls()
        ids = sorted({change.message_id for change in changes})
        for read in await read_originals(connection, ids):
            found.originals[read.message.id] = read
        users: set[int] = set()
        may_be_apart: set[Pair] = set()
        in_groups: set[Pair] = set()
        for change in changes:
            original = found.originals.get(change.message_id)
            if original is None:
                continue
            message, user_id = original.message, change.user_id
            users.add(user_id)
            if message.is_of_group:
                in_groups.add((message.conversation_id, user_id))
            else:
                other = _other(message, user_id)
                users.add(other)
                may_be_apart.add((user_id, other))
        found._may_send = await find_senders(connection, users)
        found._apart = await find_apart(
            connection, {pair for pair in may_be_apart if pair[0] != pair[1]}
        )
        found._memberships = await _memberships(connection, in_groups)
        return found

    def find(self, change: OfMessage) -> Original | Refused:
        """Return the message that the change names, if its user may see it."""
        original = self.originals.get(change.message_id)
        if original is None:
            return UnknownMessage()
        if not self._may_send.get(change.user_id):
            return NotUsable()
        return original if self._sees(original.message, change) else UnknownMessage()

    def reaches(self, message: StoredMessage, user_id: int) -> bool:
        """Whether a user who sees the message may still write to those who do."""
        if message.is_of_group:
            membership = self._memberships.get((message.conversation_id, user_id))
            return membership is not None and membership.left_position is None
        other = _other(message, user_id)
        return message.receiver_id is None or (
            other in self._may_send and (user_id, other) not in self._apart
        )

    def leads(self, message: StoredMessage, user_id: int) -> bool:
        """Whether the user is an administrator, or the owner, of the message's group."""
        membership = self._memberships.get((message.conversation_id, user_id))
        return (
            membership is not None
            and membership.left_position is None
            and membership.role in {"ADMIN", "OWNER"}
        )

    def _sees(self, message: StoredMessage, change: OfMessage) -> bool:
        user_id = change.user_id
        if message.is_of_group:
            membership = self._memberships.get((message.conversation_id, user_id))
            return membership is not None and membership.shows(message.id)
        if user_id in {message.sender_id, message.receiver_id}:
            return True
        return (
            message.receiver_id is None
            and message.id > change.broadcasts_after
            and (user_id, message.sender_id) not in self._apart
        )


def audience_of(message: StoredMessage) -> Audience:
    """Return who hears of what happens to the message."""
    if message.receiver_id is None:
        return Members(message.conversation_id)
    return People(tuple(dict.fromkeys((message.sender_id, message.receiver_id))))


def _other(message: StoredMessage, user_id: int) -> int:
    """Return the other person of a direct message; of a broadcast, its sender."""
    if message.receiver_id is None or user_id != message.sender_id:
        return message.sender_id
    return message.receiver_id


async def _memberships(connection: AsyncConnection, pairs: set[Pair]) -> dict[Pair, _Membership]:
    """Return the memberships that there are, or were, of these groups and users."""
    key = ("conversation_id", "user_id")
    rows = await rows_by_key(
        connection, "members", key, sorted(pairs), wanted=(*key, *_Membership._fields)
    )
    return {(row[0], row[1]): _Membership(*row[2:]) for row in rows}
