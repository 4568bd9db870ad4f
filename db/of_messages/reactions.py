"""Queries on reactions: each emoji of a message has its count, and those who used it first."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.engines.statements import insert_many
from db.models import Message, Reaction, ReactionCount

# So many of those who reacted first are kept beside the count, and shown.
FIRST_USERS = 20

# A message, a user and an emoji.
Key = tuple[int, int, str]


class Reactions(msgspec.Struct, frozen=True, gc=False):
    """All reactions to a message with one emoji."""

    emoji: str
    number: int  # their order among the message's
    count: int
    first_users: tuple[int, ...]  # in the order in which they reacted


async def read_reactions(
    connection: AsyncConnection, message_ids: Collection[int]
) -> dict[int, list[Reactions]]:
    """Return the reactions to these messages, in the order in which the emoji came."""
    if not message_ids:
        return {}
    rows = await connection.execute(
        select(
            col(ReactionCount.message_id),
            col(ReactionCount.emoji),
            col(ReactionCount.number),
            col(ReactionCount.count),
            col(ReactionCount.first_users),
        )
        .where(col(ReactionCount.message_id).in_(message_ids))
        .order_by(col(ReactionCount.message_id), col(ReactionCount.number))
    )
    found: dict[int, list[Reactions]] = {}
    for message_id, emoji, number, count, users in rows:
        first = msgspec.json.decode(users, type=tuple[int, ...])
        found.setdefault(message_id, []).append(Reactions(emoji, number, count, first))
    return found


async def reactions_of(connection: AsyncConnection, pairs: Collection[tuple[int, int]]) -> set[Key]:
    """Return the reactions to messages by users: of these pairs."""
    if not pairs:
        return set()
    columns = (col(Reaction.message_id), col(Reaction.user_id), col(Reaction.emoji))
    rows = await connection.execute(select(*columns).where(tuple_(*columns[:2]).in_(sorted(pairs))))
    return {(row[0], row[1], row[2]) for row in rows}


async def first_users(connection: AsyncConnection, message_id: int, emoji: str) -> tuple[int, ...]:
    """Return who reacted first to a message with an emoji: one end of an index's range."""
    rows = await connection.execute(
        select(col(Reaction.user_id))
        .where(col(Reaction.message_id) == message_id, col(Reaction.emoji) == emoji)
        .order_by(col(Reaction.created_at), col(Reaction.user_id))
        .limit(FIRST_USERS)
    )
    return tuple(rows.scalars())


async def write_reactions(
    connection: AsyncConnection, new: Iterable[Key], gone: Iterable[Key], now: datetime
) -> None:
    """Add and remove reactions."""
    if rows := [(*key, now) for key in sorted(new)]:
        names = ("message_id", "user_id", "emoji", "created_at")
        await insert_many(connection, "reactions", names, rows)
    if removed := sorted(gone):
        key = tuple_(col(Reaction.message_id), col(Reaction.user_id), col(Reaction.emoji))
        await connection.execute(delete(Reaction).where(key.in_(removed)))


async def write_counts(
    connection: AsyncConnection,
    known: Collection[tuple[int, str]],
    counts: Sequence[tuple[int, Reactions]],
) -> None:
    """Replace the counts of these messages and emoji; those of `counts` are there afterwards."""
    if known:
        key = tuple_(col(ReactionCount.message_id), col(ReactionCount.emoji))
        await connection.execute(delete(ReactionCount).where(key.in_(sorted(known))))
    if counts:
        rows = [
            (id_, r.emoji, r.number, r.count, msgspec.json.encode(r.first_users).decode())
            for id_, r in counts
        ]
        names = ("message_id", "emoji", "number", "count", "first_users")
        await insert_many(connection, "reaction_counts", names, rows)


async def mark_reacted(connection: AsyncConnection, message_ids: Collection[int]) -> None:
    """Note that these messages have reactions, so that others need not be asked about theirs."""
    if message_ids:
        await connection.execute(
            update(Message).where(col(Message.id).in_(message_ids)).values(reacted=True)
        )


async def forget_reactions(connection: AsyncConnection, message_ids: Collection[int]) -> None:
    """Forget all reactions to these messages."""
    if message_ids:
        for table in (Reaction, ReactionCount):
            await connection.execute(delete(table).where(col(table.message_id).in_(message_ids)))
