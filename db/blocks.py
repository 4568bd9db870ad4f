"""Queries on who has blocked whom."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.models import Block


async def insert_block(
    connection: AsyncConnection, blocker_id: int, blocked_id: int, at: datetime
) -> None:
    """Add a block. Raises sqlalchemy's IntegrityError when it is there."""
    await connection.execute(
        insert(Block).values(blocker_id=blocker_id, blocked_id=blocked_id, created_at=at)
    )


async def delete_block(connection: AsyncConnection, blocker_id: int, blocked_id: int) -> bool:
    """Remove a block; False when there was none."""
    deleted = await connection.execute(
        delete(Block).where(
            col(Block.blocker_id) == blocker_id, col(Block.blocked_id) == blocked_id
        )
    )
    return deleted.rowcount > 0


async def blocked_ids(connection: AsyncConnection, blocker_id: int) -> Sequence[int]:
    """Return whom this user has blocked, the latest first."""
    rows = await connection.execute(
        select(col(Block.blocked_id))
        .where(col(Block.blocker_id) == blocker_id)
        .order_by(col(Block.created_at).desc(), col(Block.blocked_id))
    )
    return rows.scalars().all()


async def has_block(connection: AsyncConnection, blocker_id: int, blocked_id: int) -> bool:
    """Whether the one has blocked the other."""
    rows = await connection.execute(
        select(col(Block.blocked_id)).where(
            col(Block.blocker_id) == blocker_id, col(Block.blocked_id) == blocked_id
        )
    )
    return rows.first() is not None


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


def not_apart(one: Any, other: Any) -> ColumnElement[bool]:
    """Whether neither of the two has blocked the other: two look-ups by key."""
    blocker, blocked = col(Block.blocker_id), col(Block.blocked_id)
    return and_(
        ~exists().where(blocker == one, blocked == other),
        ~exists().where(blocker == other, blocked == one),
    )
