"""Which drafts of a batch are stored: their people exist, and the sender may reach the receiver.

A message for a group is stored when its sender is in the group.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from db.log.drafts import (
    BroadcastRefused,
    Draft,
    SenderDisabled,
    UnknownConversation,
    UnknownReceiver,
    Waiting,
    answer_by,
    refuse,
)
from db.log.known_groups import KnownGroups
from db.messages import find_by_keys
from db.people.users import admin_ids, find_senders

# Ids of users seen to exist, so that a batch need not ask for each receiver again.
KNOWN_USERS = 100_000

Broadcasters = Literal["everyone", "admins", "off"]


class Admission:
    """Judges each batch within its transaction; control facts change what it knows.

    `apart` says, live, who must not reach whom. Such a receiver is refused like one who does not
    exist, by the same statements: neither the answer nor its time tells the two cases apart.
    """

    def __init__(
        self,
        *,
        apart: Mapping[int, Collection[int]] | None = None,
        broadcasters: Broadcasters = "everyone",
        groups: KnownGroups | None = None,
    ) -> None:
        self._apart = {} if apart is None else apart
        self.groups = KnownGroups() if groups is None else groups
        self.broadcasters: str = broadcasters
        # Whether each may send.
        self.known_users: dict[int, bool] = {}

    def forget_user(self, user_id: int) -> None:
        """Ask the database again whether this user exists, and may send."""
        self.known_users.pop(user_id, None)

    async def ended(
        self, connection: AsyncConnection, user_ids: Collection[int], *, knows: bool = True
    ) -> set[int]:
        """Return those of these users whose accounts were disabled or deleted.

        With `knows=False` the database is asked for each.
        """
        known = self.known_users if knows else {}
        unseen = {user_id for user_id in user_ids if user_id not in known}
        found = await find_senders(connection, unseen) if unseen else {}
        if knows and len(self.known_users) + len(found) <= KNOWN_USERS:
            self.known_users.update(found)
        return {id_ for id_ in user_ids if not (known.get(id_) or found.get(id_))}

    def is_sure(self, drafts: Sequence[Draft]) -> bool:
        """Whether all of them may be stored, as far as that is known without asking."""
        known = self.known_users
        for draft in drafts:
            if not known.get(draft.sender_id):
                return False
            if draft.receiver_id is None:
                if draft.conversation_id is not None:
                    if not self.groups.is_in(draft.sender_id, draft.conversation_id):
                        return False
                elif self.broadcasters != "everyone":
                    return False
            elif draft.receiver_id not in known or (self._apart and self._is_barred(draft)):
                return False
        return True

    async def admit(self, connection: AsyncConnection, batch: list[Waiting]) -> list[Waiting]:
        """Return those that may be stored; the others are refused, or repeat what is stored."""
        drafts = [waiting.draft for waiting in batch]
        known = await self._known(connection, drafts)
        muted = await self._muted(connection, drafts)
        admitted = []
        refused: list[tuple[Waiting, Exception]] = []
        for waiting, draft in zip(batch, drafts, strict=True):
            refusal = self._refusal(draft, known, muted)
            if refusal is None:
                admitted.append(waiting)
            else:
                refused.append((waiting, refusal))
        if refused:
            await refuse_new(connection, refused)
        return admitted

    def _refusal(
        self, draft: Draft, known: Mapping[int, bool], muted: Collection[int]
    ) -> Exception | None:
        if draft.sender_id not in known:
            return UnknownReceiver()
        if not known[draft.sender_id]:
            return SenderDisabled()
        if draft.receiver_id is None:
            if draft.conversation_id is not None:
                is_in = self.groups.is_in(draft.sender_id, draft.conversation_id)
                return None if is_in else UnknownConversation()
            return BroadcastRefused() if draft.sender_id in muted else None
        if draft.receiver_id not in known or (self._apart and self._is_barred(draft)):
            return UnknownReceiver()
        return None

    def _is_barred(self, draft: Draft) -> bool:
        return draft.receiver_id in self._apart.get(draft.sender_id, ())

    async def _known(self, connection: AsyncConnection, drafts: Sequence[Draft]) -> dict[int, bool]:
        """Return which of the users named exist, and whether each may send."""
        named = {draft.sender_id for draft in drafts}
        named |= {draft.receiver_id for draft in drafts if draft.receiver_id is not None}
        known = {id_: self.known_users[id_] for id_ in named if id_ in self.known_users}
        unseen = named - known.keys()
        if self._apart:  # a receiver whom a block keeps away is asked for as if never heard of
            unseen |= {d.receiver_id for d in drafts if d.receiver_id and self._is_barred(d)}
        if not unseen:
            return known
        found = await find_senders(connection, unseen)
        if len(self.known_users) + len(found) > KNOWN_USERS:
            self.known_users.clear()
        self.known_users.update(found)
        return {**{id_: may for id_, may in known.items() if id_ not in unseen}, **found}

    async def _muted(self, connection: AsyncConnection, drafts: Sequence[Draft]) -> set[int]:
        """Return the senders who want to write to everybody, and may not."""
        if self.broadcasters == "everyone":
            return set()
        senders = {
            draft.sender_id
            for draft in drafts
            if draft.receiver_id is None and draft.conversation_id is None
        }
        if self.broadcasters == "off" or not senders:
            return senders
        return senders - await admin_ids(connection, senders)


async def refuse_new(
    connection: AsyncConnection, refused: Sequence[tuple[Waiting, Exception]]
) -> None:
    """Refuse each, unless it repeats what its sender stored under its key when it was allowed."""
    stored = await find_by_keys(connection, [waiting.draft.key for waiting, _ in refused])
    for waiting, refusal in refused:
        first = stored.get(waiting.draft.key)
        if first is not None and waiting.draft.is_of(first):
            answer_by(waiting, first)
        else:
            refuse([waiting], refusal)
