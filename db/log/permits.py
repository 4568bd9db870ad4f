"""Which drafts of a batch may be stored: of known people, who may reach whom they are for."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.log.drafts import BroadcastRefused, Draft, SenderDisabled, UnknownReceiver, Waiting
from db.messages import COLUMNS, read_messages
from db.models import Message, StoredMessage
from db.users import admin_ids, find_senders

# Ids of users seen to exist, so that a batch need not ask for each receiver again.
KNOWN_USERS = 100_000

Broadcasters = Literal["everyone", "admins", "off"]


class Permits:
    """Looks at each batch within its transaction; control facts change what it knows.

    `apart` says, live, who must not reach whom. Such a receiver is refused like one who does not
    exist, by the same statements, so that neither the answer nor its time tells which it was.
    """

    def __init__(
        self,
        *,
        apart: Mapping[int, Collection[int]] | None = None,
        broadcasters: Broadcasters = "everyone",
    ) -> None:
        self._apart = {} if apart is None else apart
        self.broadcasters: str = broadcasters
        # Whether each may send.
        self.known_users: dict[int, bool] = {}

    def forget_user(self, user_id: int) -> None:
        """Ask the database again whether this user exists, and may send."""
        self.known_users.pop(user_id, None)

    def allow(self, drafts: Sequence[Draft]) -> bool:
        """Whether all of them may be stored, as far as that is known without asking."""
        known = self.known_users
        for draft in drafts:
            if not known.get(draft.sender_id):
                return False
            if draft.receiver_id is None:
                if self.broadcasters != "everyone":
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
            if draft.sender_id not in known:
                refused.append((waiting, UnknownReceiver()))
            elif not known[draft.sender_id]:
                refused.append((waiting, SenderDisabled()))
            elif draft.receiver_id is None:
                if draft.sender_id in muted:
                    refused.append((waiting, BroadcastRefused()))
                else:
                    admitted.append(waiting)
            elif draft.receiver_id not in known or (self._apart and self._is_barred(draft)):
                refused.append((waiting, UnknownReceiver()))
            else:
                admitted.append(waiting)
        if refused:
            await _refuse(connection, refused)
        return admitted

    def _is_barred(self, draft: Draft) -> bool:
        return draft.receiver_id in self._apart.get(draft.sender_id, ())

    async def _known(self, connection: AsyncConnection, drafts: Sequence[Draft]) -> dict[int, bool]:
        """Return which of the users named exist, and whether each may send."""
        named = {draft.sender_id for draft in drafts}
        named |= {draft.receiver_id for draft in drafts if draft.receiver_id is not None}
        known = {id_: self.known_users[id_] for id_ in named if id_ in self.known_users}
        unseen = named - known.keys()
        if self._apart:  # whom a block keeps away is asked for as if never heard of
            unseen |= {d.receiver_id for d in drafts if d.receiver_id and self._is_barred(d)}
        if not unseen:
            return known
        found = await find_senders(connection, unseen)
        if len(self.known_users) + len(found) > KNOWN_USERS:
            self.known_users.clear()
        self.known_users.update(found)
        return {**{id_: may for id_, may in known.items() if id_ not in unseen}, **found}

    async def _muted(self, connection: AsyncConnection, drafts: Sequence[Draft]) -> set[int]:
        """Return who wants to write to everybody, and may not."""
        if self.broadcasters == "everyone":
            return set()
        senders = {draft.sender_id for draft in drafts if draft.receiver_id is None}
        if self.broadcasters == "off" or not senders:
            return senders
        return senders - await admin_ids(connection, senders)


async def _refuse(
    connection: AsyncConnection, refused: Sequence[tuple[Waiting, Exception]]
) -> None:
    """Refuse each, unless its sender has stored the same under its key when it was allowed."""
    keys = [
        (waiting.draft.sender_id, waiting.draft.client_message_id)
        for waiting, _ in refused
        if waiting.draft.client_message_id is not None
    ]
    stored: dict[tuple[int, str | None], StoredMessage] = {}
    if keys:
        key = tuple_(col(Message.sender_id), col(Message.client_message_id))
        found = await read_messages(connection, select(*COLUMNS).where(key.in_(keys)))
        stored = {(message.sender_id, message.client_message_id): message for message in found}
    for waiting, refusal in refused:
        if waiting.outcome.done():
            continue
        first = stored.get((waiting.draft.sender_id, waiting.draft.client_message_id))
        if first is not None and waiting.draft.is_of(first):
            waiting.outcome.set_result(first)
        else:
            waiting.outcome.set_exception(refusal)
