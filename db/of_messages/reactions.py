"""Queries on reactions: each emoji of a message has its count, and those who used it first."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from operator import itemgetter

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.engines.statements import delete_by_key, insert_many, rows_by_key
from db.models import Reaction
from db.models import Reactions as Reactions

# So many of those who reacted first are kept beside the count, and shown.
FIRST_USERS = 20

# A message, a user and an emoji.
Key = tuple[int, int, str]
_KEY = ("message_id", "user_id", "emoji")
_decoder = msgspec.json.Decoder(tuple[int, ...])


async def read_reactions(
    connection: AsyncConnection, message_ids: Collection[int]
) -> dict[int, list[Reactions]]:
    """Return the reactions to these messages, in the order in which the emoji came."""
    names = ("message_id", "emoji", "number", "count", "first_users")
    keys = [(id_,) for id_ in sorted(message_ids)]
    rows = await rows_by_key(connection, "reaction_counts", names[:1], keys, wanted=names)
    found: dict[int, list[Reactions]] = {}
    for message_id, emoji, number, count, users in sorted(rows, key=itemgetter(0, 2)):
        first = _decoder.decode(users)
        found.setdefault(message_id, []).append(Reactions(emoji, number, count, first))
    return found


async def reactions_of(connection: AsyncConnection, pairs: Collection[tuple[int, int]]) -> set[Key]:
    """Return the reactions to messages by users: of these pairs."""
    rows = await rows_by_key(connection, "reactions", _KEY[:2], sorted(pairs), wanted=_KEY)
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
    rows = [(*key, now) for key in sorted(new)]
    await insert_many(connection, "reactions", (*_KEY, "created_at"), rows)
    await delete_by_key(connection, "reactions", _KEY, sorted(gone))


async def write_counts(
    connection: AsyncConnection,
    counts: Sequence[tuple[int, Reactions]],
    gone: Collection[tuple[int, str]],
) -> None:
    """Have these messages and emoji have these counts, and others none any more."""
    rows = [
        (id_, r.emoji, r.number, r.count, msgspec.json.encode(r.first_users).decode())
        for id_, r in counts
    ]
    said = ("number", "count", "first_users")
    names = ("message_id", "emoji", *said)
    await insert_many(connection, "reaction_counts", names, rows, replacing=said)
    await delete_by_key(connection, "reaction_counts", names[:2], sorted(gone))


async def mark_reacted(connection: AsyncConnection, message_ids: Collection[int]) -> None:
    """Note that these messages have reactions, so that others need not be asked about theirs."""
    if message_ids:
        ids = ",".join(f"{id_:d}" for id_ in sorted(message_ids))
        await connection.exec_driver_sql(f"UPDATE messages SET reacted = TRUE WHERE id IN ({ids})")  # noqa: S608  # nosec B608  # numbers


async def forget_reactions(connection: AsyncConnection, message_ids: Collection[int]) -> None:
    """Forget all reactions to these messages."""
    keys = [(id_,) for id_ in sorted(message_ids)]
    for table in ("reactions", "reaction_counts"):
        await delete_by_key(connection, table, ("message_id",), keys)
