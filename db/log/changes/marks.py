"""How far somebody has read a conversation, and what their clients were sent."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Self

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.conversations.marks import Move, last_ids, peers_between, senders_between
from db.engines.statements import insert_many
from db.log.changes.change import Change, Made, Outcome
from db.log.changes.own_settings import UnknownConversation, member_rows
from db.messages import head_position
from db.models import Conversation, ConversationKind, User
from db.people.accounts import update_accounts
from db.people.blocks import blocked_by, find_apart
from events.facts import Audience, MarksMoved, Members, People

# The people who are told, at most, that what they sent has arrived: those of the latest messages.
MOST_TOLD = 1000
# In groups: those of the latest messages of the groups that were written to last.
MOST_OF_GROUP, MOST_GROUPS = 500, 50


class MarkRead(Change, frozen=True, gc=False):
    """Somebody has read a conversation up to a position."""

    author: ClassVar[str] = "user_id"

    user_id: int
    conversation_id: int
    position: int
    # Where a row of the conversation of everybody begins, if the user has none yet.
    joined_position: int = 0

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses with UnknownConversation. A mark becomes the last message at or before it.

        Of several marks of one user in one conversation only the furthest makes a fact.
        """
        rows = await member_rows(connection, changes)
        asked = [
            (change.conversation_id, _within(rows.get(change.key), change.position))
            for change in changes
        ]
        lasts = await last_ids(connection, {place for place in asked if place[1] > 0})
        furthest: dict[tuple[int, int], tuple[int, int]] = {}  # the position, and whose turn it is
        for turn, (change, place) in enumerate(zip(changes, asked, strict=True)):
            position = lasts.get(place, 0)
            row = rows.get(change.key)
            known = 0 if row is None else row["read_position"]
            if position > max(known, furthest.get(change.key, (0, 0))[0]):
                furthest[change.key] = (position, turn)
        if furthest:
            await _set_read(connection, {key: moved[0] for key, moved in furthest.items()}, rows)
        left = {key for key in furthest if rows[key]["left_position"] is not None}
        audiences = await _audiences(connection, furthest, left)
        outcomes: list[Outcome] = []
        for turn, change in enumerate(changes):
            position, mover = furthest.get(change.key, (0, -1))
            if change.key not in rows:
                outcomes.append(UnknownConversation())
            elif turn != mover:
                outcomes.append(None)
            else:
                body = MarksMoved(change.conversation_id, read_position=position)
                outcomes.append(Made(change.user_id, body, audiences[change.key]))
        return outcomes

    @property
    def key(self) -> tuple[int, int]:
        """The conversation and the user."""
        return self.conversation_id, self.user_id


def _within(row: dict[str, Any] | None, position: int) -> int:
    """Return the position, or where its member has left."""
    if row is None:
        return 0
    left = row["left_position"]
    return position if left is None else min(position, left)


async def _set_read(
    connection: AsyncConnection,
    marks: dict[tuple[int, int], int],
    members: dict[tuple[int, int], dict[str, Any]],
) -> None:
    """Set the read marks of these conversations and users, whose rows are these."""
    names = (
        "conversation_id", "user_id", "role", "joined_position", "activity", "archived", "pinned",
    )  # fmt: skip
    rows = [(*(members[key][name] for name in names), position) for key, position in marks.items()]
    mark = "read_position"
    await insert_many(connection, "members", (*names, mark), rows, replacing=(mark,))


class _Shown(NamedTuple):
    """Whose a conversation is, as far as a mark's audience depends on it."""

    kind: str
    people: tuple[int, ...]


async def _audiences(
    connection: AsyncConnection,
    keys: Collection[tuple[int, int]],
    left: Collection[tuple[int, int]],
) -> dict[tuple[int, int], Audience]:
    """Return who is told of these users' marks in these conversations, some of which they `left`.

    Who has left a group is no member: only their own clients are told, which list it still.
    """
    if not keys:
        return {}
    rows = await connection.execute(
        select(
            col(Conversation.id),
            col(Conversation.kind),
            col(Conversation.lower_user_id),
            col(Conversation.higher_user_id),
        ).where(col(Conversation.id).in_({id_ for id_, _ in keys}))
    )
    shown = {
        row[0]: _Shown(row[1], tuple(id_ for id_ in row[2:] if id_ is not None)) for row in rows
    }
    people = {user_id for _, user_id in keys}.union(*(each.people for each in shown.values()))
    found = await connection.execute(
        select(col(User.id)).where(col(User.id).in_(people), ~col(User.read_receipts))
    )
    hiding = {*found.scalars()}
    blocked = await blocked_by(connection, people)
    audiences: dict[tuple[int, int], Audience] = {}
    for id_, user_id in keys:
        kind, pair = shown[id_]
        audience: Audience = People((user_id,))
        if kind == ConversationKind.GROUP and user_id not in hiding and (id_, user_id) not in left:
            audience = Members(id_)
        elif kind == ConversationKind.DIRECT and not hiding & {*pair}:
            one, other = pair
            if other not in blocked.get(one, ()) and one not in blocked.get(other, ()):
                audience = People(tuple(sorted({*pair})))
        audiences[id_, user_id] = audience
    return audiences


class MarkDelivered(Change, frozen=True, gc=False):
    """Somebody's clients were sent the log up to a position: one mark for all conversations.

    Those are told whose messages have arrived by it: in a group with a thousand members a message
    makes a thousand facts for one person, not a million (docs/decisions/0024).
    """

    author: ClassVar[str] = "user_id"

    user_id: int
    position: int

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses nothing. Of several marks of one user only the furthest makes a fact.

        Nothing is delivered to an invisible user: clients say it by themselves, as soon as a
        message has come, and so would tell that the user is online.
        """
        head = await head_position(connection)
        query = select(col(User.id), col(User.delivered_position)).where(
            col(User.id).in_({change.user_id for change in changes}), ~col(User.invisible)
        )
        known = {row[0]: row[1] for row in await connection.execute(query)}
        furthest: dict[int, tuple[int, int]] = {}  # the position, and whose turn it is
        for turn, change in enumerate(changes):
            position = min(change.position, head)
            before = max(known.get(change.user_id, head), furthest.get(change.user_id, (0, 0))[0])
            if position > before:
                furthest[change.user_id] = (position, turn)
        moves = [Move(id_, known[id_], position) for id_, (position, _) in furthest.items()]
        edits = {move.user_id: {"delivered_position": move.upto} for move in moves}
        await update_accounts(connection, edits)
        made = await _made(connection, moves) if moves else {}
        return [
            made[change.user_id] if furthest.get(change.user_id, (0, -1))[1] == turn else None
            for turn, change in enumerate(changes)
        ]


async def _made(connection: AsyncConnection, moves: Sequence[Move]) -> dict[int, Made]:
    """Return the fact of each move, for the user and for those whose messages have arrived by it.

    A delivered mark is of all conversations, and a block hides it in the direct one. So those whom
    a block keeps apart from the user hear of the mark in each group where they wrote, by itself.
    """
    peers = await peers_between(connection, moves, limit=MOST_TOLD)
    senders = await senders_between(connection, moves, limit=MOST_OF_GROUP, most_groups=MOST_GROUPS)
    pairs = {(id_, peer) for id_, found in peers.items() for peer in found}
    pairs |= {
        (id_, other)
        for id_, groups in senders.items()
        for of_group in groups.values()
        for other in of_group
    }
    apart = await find_apart(connection, {pair for pair in pairs if pair[0] != pair[1]})
    made: dict[int, Made] = {}
    for id_, _, upto in moves:
        groups = senders[id_]
        told = {id_, *peers[id_], *(other for found in groups.values() for other in found)}
        audience = People(tuple(sorted(other for other in told if (id_, other) not in apart)))
        also = [
            Made(id_, MarksMoved(group, delivered_position=upto), People(tuple(sorted(kept))))
            for group, found in sorted(groups.items())
            if (kept := {other for other in found if (id_, other) in apart})
        ]
        made[id_] = Made(id_, MarksMoved(delivered_position=upto), audience, also=also)
    return made
