"""Which conversation a message belongs to, as a process that writes the log knows it."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.conversations.activity import ACTIVITY_STEP, FOR_EVER, MOST_BEHIND
from db.conversations.listing import find_direct
from db.log.drafts import Draft
from db.models import EVERYBODY_ID, Conversation, ConversationKind, Member

# Pairs of people whose conversation is known, so that a message of theirs needs no look-up.
KNOWN_PAIRS = 100_000
Pair = tuple[int, int]


class Conversations:
    """Finds and begins the direct conversations of drafts.

    Only committed conversations are remembered: one that a batch begins is looked up again by the
    next message of it.
    """

    def __init__(self) -> None:
        self._known: dict[Pair, int] = {}
        self._active: dict[int, int] = {}  # conversation: the activity that was written last
        self._position = 0  # the last one that was committed here

    def of(self, drafts: Sequence[Draft]) -> list[int] | None:
        """Return the conversation of each draft; None where one is not known without asking."""
        found = []
        for draft in drafts:
            id_ = EVERYBODY_ID if draft.receiver_id is None else self._known.get(pair_of(draft))
            if id_ is None:
                return None
            found.append(id_)
        return found

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
            EVERYBODY_ID if draft.receiver_id is None else known[pair_of(draft)] for draft in drafts
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
            .where(col(Member.conversation_id).in_(conversations))
            .values(activity=position)
        )
