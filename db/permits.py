"""Which drafts of a batch may be stored: of known people, who may reach whom they are for."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.drafts import UnknownReceiver, Waiting
from db.messages import COLUMNS, read_messages
from db.models import Message, StoredMessage
from db.users import existing_ids

# Ids of users seen to exist, so that a batch need not ask for each receiver again.
KNOWN_USERS = 100_000


class Permits:
    """Looks at each batch within its transaction.

    `apart` says, live, who must not reach whom. Such a receiver is refused like one who does not
    exist, by the same statements, so that neither the answer nor its time tells which it was.
    """

    def __init__(self, *, apart: Mapping[int, Collection[int]] | None = None) -> None:
        self._apart = {} if apart is None else apart
        self.known_users: dict[int, None] = {}

    async def admit(self, connection: AsyncConnection, batch: list[Waiting]) -> list[Waiting]:
        """Return those that may be stored. The others are settled: refused, unless they repeat
        what was stored before."""
        barred = {w.draft.receiver_id for w in batch if self._is_barred(w)} if self._apart else ()
        known = await self._known(connection, batch, barred)
        admitted, refused = [], []
        for waiting in batch:
            draft = waiting.draft
            reachable = draft.receiver_id is None or draft.receiver_id in known
            if draft.sender_id in known and reachable and not (barred and self._is_barred(waiting)):
                admitted.append(waiting)
            else:
                refused.append(waiting)
        if refused:
            stored = await _stored_under_keys(connection, refused)
            for waiting in refused:
                self._refuse(waiting, stored)
        return admitted

    def _is_barred(self, waiting: Waiting) -> bool:
        draft = waiting.draft
        return draft.receiver_id in self._apart.get(draft.sender_id, ())

    async def _known(
        self, connection: AsyncConnection, batch: Sequence[Waiting], barred: Collection[int | None]
    ) -> set[int]:
        """Return which users of the batch exist; the barred are asked for as if never heard of."""
        named = {waiting.draft.sender_id for waiting in batch}
        named |= {w.draft.receiver_id for w in batch if w.draft.receiver_id is not None}
        unseen = {id_ for id_ in named if id_ in barred or id_ not in self.known_users}
        if not unseen:
            return named
        found = await existing_ids(connection, unseen)
        if len(self.known_users) + len(found) > KNOWN_USERS:
            self.known_users.clear()
        self.known_users.update(dict.fromkeys(found))
        return named - (unseen - found)

    @staticmethod
    def _refuse(waiting: Waiting, stored: Mapping[tuple[int, str | None], StoredMessage]) -> None:
        if waiting.outcome.done():
            return
        first = stored.get((waiting.draft.sender_id, waiting.draft.client_message_id))
        if first is not None and waiting.draft.is_of(first):
            waiting.outcome.set_result(first)
        else:
            waiting.outcome.set_exception(UnknownReceiver())


async def _stored_under_keys(
    connection: AsyncConnection, batch: Sequence[Waiting]
) -> dict[tuple[int, str | None], StoredMessage]:
    """Return the messages that their senders have stored under these drafts' keys."""
    keys = [
        (waiting.draft.sender_id, waiting.draft.client_message_id)
        for waiting in batch
        if waiting.draft.client_message_id is not None
    ]
    if not keys:
        return {}
    key = tuple_(col(Message.sender_id), col(Message.client_message_id))
    found = await read_messages(connection, select(*COLUMNS).where(key.in_(keys)))
    return {(message.sender_id, message.client_message_id): message for message in found}
