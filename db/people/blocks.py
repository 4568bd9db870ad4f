"""Queries on who has blocked whom."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.engines.statements import rows_by_key
from db.models import Block


async def insert_blocks(
    connection: AsyncConnection, pairs: Collection[tuple[int, int]], at: datetime
) -> None:
    """Add blocks, each a blocker and a blocked."""
    if pairs:
        await connection.execute(
            insert(Block),
            [
                {"blocker_id": blocker, "blocked_id": blocked, "created_at": at}
                for blocker, blocked in sorted(pairs)
            ],
        )


async def delete_blocks(connection: AsyncConnection, pairs: Collection[tuple[int, int]]) -> None:
    """Remove blocks."""
    for blocker_id, blocked_id in sorted(pairs):
        await connection.execute(
            delete(Block).where(
                col(Block.blocker_id) == blocker_id, col(Block.blocked_id) == blocked_id
            )
        )


async def blocked_by(
    connection: AsyncConnection, blocker_ids: Collection[int]
) -> dict[int, set[int]]:
    """Return whom each of these users has blocked, if anybody."""
    rows = await connection.execute(
        select(col(Block.blocker_id), col(Block.blocked_id)).where(
            col(Block.blocker_id).in_(blocker_ids)
        )
    )
    found: dict[int, set[int]] = {}
    for blocker_id, blocked_id in rows:
        found.setdefault(blocker_id, set()).add(blocked_id)
    return found


async def blocks_between(
    connection: AsyncConnection, ones: Collection[int], others: Collection[int]
) -> set[tuple[int, int]]:
    """Return the blocks of any of the ones against any of the others, or the other way round.

    Each is a blocker and a blocked.
    """
    blocker, blocked = col(Block.blocker_id), col(Block.blocked_id)
    found: set[tuple[int, int]] = set()
    for these, those in ((ones, others), (others, ones)):
        rows = await connection.execute(
            select(blocker, blocked).where(blocker.in_(these), blocked.in_(those))
        )
        found |= {(row[0], row[1]) for row in rows}
    return found


async def blocked_ids(connection: AsyncConnection, blocker_id: int) -> Sequence[int]:
    """Return whom this user has blocked, the latest first."""
    rows = await connection.execute(
        select(col(Block.blocked_id))
        .where(col(Block.blocker_id) == blocker_id)
        .order_by(col(Block.created_at).desc(), col(Block.blocked_id))
    )
    return rows.scalars().all()


async def page_blocks(
    connection: AsyncConnection, after: tuple[int, int], limit: int
) -> Sequence[tuple[int, int]]:
    """Return up to `limit` pairs of blocker and blocked past this one, in order."""
    blocker, blocked = col(Block.blocker_id), col(Block.blocked_id)
    rows = await connection.execute(
        select(blocker, blocked)
        # Not a comparison of tuples: MySQL would read the table from its beginning.
        .where((blocker > after[0]) | ((blocker == after[0]) & (blocked > after[1])))
        .order_by(blocker, blocked)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


async def find_apart(
    connection: AsyncConnection, pairs: Collection[tuple[int, int]]
) -> set[tuple[int, int]]:
    """Return those of these pairs in which one user has blocked the other."""
    both = sorted({*pairs, *((other, one) for one, other in pairs)})
    rows = await rows_by_key(connection, "blocks", ("blocker_id", "blocked_id"), both)
    blocks = {(row[0], row[1]) for row in rows}
    return {(one, other) for one, other in pairs if {(one, other), (other, one)} & blocks}


def not_apart(one: Any, other: Any) -> ColumnElement[bool]:
    """Whether neither of the two has blocked the other: two look-ups by key."""
    blocker, blocked = col(Block.blocker_id), col(Block.blocked_id)
    return and_(
        ~exists().where(blocker == one, blocked == other),
        ~exists().where(blocker == other, blocked == one),
    )
