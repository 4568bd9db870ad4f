"""Which conversation a message belongs to, as a process that writes the log knows it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.conversations.activity import ACTIVITY_STEP, FOR_EVER, MOST_BEHIND
from db.conversations.listing import find_direct
from db.log.drafts import Draft, Waiting
from db.log.known_groups import KnownGroups
from db.models import EVERYBODY_ID, Conversation, ConversationKind, Member

# Pairs of people whose conversation is known, so that a message of theirs needs no look-up.
KNOWN_PAIRS = 100_000
Pair = tuple[int, int]


class Conversations:
    """Finds the conversations of drafts, and begins those of two people.

    Only committed conversations are remembered: one that a batch begins is looked up again by the
    next message of it.
    """

    def __init__(self, groups: KnownGroups | None = None) -> None:
        self._groups = KnownGroups() if groups is None else groups
        self._known: dict[Pair, int] = {}
        self._pairs: dict[int, Pair] = {}  # of the direct conversations that drafts have named
        self._active: dict[int, int] = {}  # conversation: the activity that was written last
        self._position = 0  # the last one that was committed here

    def of(self, drafts: Sequence[Draft]) -> list[int] | None:
        """Return the conversation of each draft; None where one is not known without asking."""
        found = []
        known = self._known
        for draft in drafts:
            id_: int | None
            sender_id, receiver_id = draft.sender_id, draft.receiver_id
            if receiver_id is not None:  # `pair_of`, without a call for each message
                in_order = sender_id < receiver_id
                id_ = known.get((sender_id, receiver_id) if in_order else (receiver_id, sender_id))
            elif draft.conversation_id is None:
                id_ = EVERYBODY_ID
            else:
                id_ = draft.conversation_id if draft.conversation_id in self._groups else None
            if id_ is None:
                return None
            found.append(id_)
        return found

    def has_unknown_names(self, drafts: Sequence[Draft]) -> bool:
        """Whether a draft only names a conversation, and its sender is not known to be in it.

        `name_receivers` finds out; in a group it may be that the sender has just joined.
        """
        return any(
            draft.conversation_id is not None
            and draft.receiver_id is None
            and not self._groups.is_in(draft.sender_id, draft.conversation_id)
            for draft in drafts
        )

    def receiver_in(self, conversation_id: int, sender_id: int) -> int | None:
        """Return to whom the sender writes in a direct conversation; None where nobody has asked.

        Of a conversation of others this is None too.
        """
        pair = self._pairs.get(conversation_id, ())
        return sum(pair) - sender_id if sender_id in pair else None

    async def name_receivers(
        self, connection: AsyncConnection, batch: list[Waiting]
    ) -> list[Waiting]:
        """Return the batch with the receivers of drafts that only name a direct conversation.

        The members of groups that are named are known then. A draft for a conversation that the
        sender is not in stays as it is. The transaction has locked the log's head.
        """
        named = {
            waiting.draft.conversation_id
            for waiting in batch
            if type(waiting.change) is Draft and waiting.draft.receiver_id is None
        }
        unknown = {id_ for id_ in named if id_ is not None and id_ not in self._groups}
        if not unknown:
            return batch
        await self._groups.learn(connection, unknown)
        if len(self._pairs) + len(unknown) > KNOWN_PAIRS:
            self._pairs.clear()
        self._pairs |= await find_pairs(connection, unknown - self._pairs.keys())
        return [self._naming_receiver(waiting) for waiting in batch]

    def _naming_receiver(self, waiting: Waiting) -> Waiting:
        draft = waiting.change
        if type(draft) is not Draft or draft.conversation_id is None:
            return waiting
        receiver_id = self.receiver_in(draft.conversation_id, draft.sender_id)
        if receiver_id is None:
            return waiting
        return waiting._replace(change=replace(draft, receiver_id=receiver_id))

    async def find(
        self, connection: AsyncConnection, drafts: Sequence[Draft], now: datetime
    ) -> list[int]:
        """Return the conversation of each draft, and begin those that are new.

        The transaction has locked the log's head: nobody else begins one meanwhile.
        """
        pairs = {pair_of(draft) for draft in drafts if draft.receiver_id is not None}
        unknown = sorted(pairs - self._known.keys())
        if len(self._known) + len(unknown) > KNOWN_PAIRS:
            self._known.clear()
            unknown = sorted(pairs)
        self._known |= (found := await find_direct(connection, unknown))
        begun = await _begin(connection, [pair for pair in unknown if pair not in found], now)
        known = self._known | begun if begun else self._known
        return [
            known[pair_of(draft)]
            if draft.receiver_id is not None
            else draft.conversation_id or EVERYBODY_ID
            for draft in drafts
        ]

    def falling_behind(self, conversations: Iterable[int], head: int) -> tuple[list[int], int]:
        """Return which of these conversations need their `activity` written at about `head`.

        And up to which position a message of the others may be stored without that.
        """
        active = self._active
        behind: list[int] = []
        least = FOR_EVER
        for id_ in {*conversations}:
            if id_ == EVERYBODY_ID:
                continue
            if (written := active.get(id_, 0)) < head - ACTIVITY_STEP:
                behind.append(id_)
            elif written < least:
                least = written
        return sorted(behind), least + MOST_BEHIND

    def moved(self, conversations: Iterable[int], position: int) -> None:
        """Know that the `activity` of these was written, and is committed."""
        if len(self._active) > KNOWN_PAIRS:
            self._active.clear()
        for id_ in conversations:
            self._active[id_] = position
        self._position = position

    def check_head(self, head: int) -> None:
        """Forget everything if the log, which ends here, has lost positions."""
        if head < self._position:
            self.forget()

    def forget(self) -> None:
        """Know nothing any more: the database may have lost what was committed."""
        self._known.clear()
        self._active.clear()
        self._position = 0


def pair_of(draft: Draft) -> Pair:
    """Return the two people of a direct message, the lower id first."""
    sender, receiver = draft.sender_id, draft.receiver_id
    assert receiver is not None  # noqa: S101  # the caller has looked
    return (sender, receiver) if sender < receiver else (receiver, sender)


async def find_pairs(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Pair]:
    """Return the two people of those of these conversations that are direct, the lower id first."""
    lower: Any = col(Conversation.lower_user_id)
    higher: Any = col(Conversation.higher_user_id)
    rows = await connection.execute(
        select(col(Conversation.id), lower, higher).where(
            col(Conversation.id).in_(ids), lower.is_not(None)
        )
    )
    return {id_: (one, other) for id_, one, other in rows}


async def _begin(
    connection: AsyncConnection, pairs: Sequence[Pair], now: datetime
) -> dict[Pair, int]:
    if not pairs:
        return {}
    rows = [
        {
            "kind": ConversationKind.DIRECT.value,
            "lower_user_id": lower,
            "higher_user_id": higher,
            "shows_earlier": True,
            "created_at": now,
        }
        for lower, higher in pairs
    ]
    await connection.execute(insert(Conversation), rows)
    begun = await find_direct(connection, pairs)
    members = [
        {
            "conversation_id": id_,
            "user_id": user_id,
            "role": "MEMBER",
            "joined_position": 0,
            "activity": 0,
            "read_position": 0,
            "archived": False,
            "pinned": False,
        }
        for pair, id_ in begun.items()
        for user_id in {*pair}
    ]
    await connection.execute(insert(Member), members)
    return begun


async def set_activity(
    connection: AsyncConnection, conversations: Sequence[int], position: int
) -> None:
    """Write that these conversations had a message at about this position."""
    if conversations:
        await connection.execute(
            update(Member)
            # Who has left sees nothing later: their row says where the last of theirs is.
            .where(
                col(Member.conversation_id).in_(conversations), col(Member.left_position).is_(None)
            )
            .values(activity=position)
        )
