"""What each user's attachments take, counted in the transactions that make and end them."""

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.models import User


async def stored_bytes(connection: AsyncConnection, user_id: int) -> int:
    """Return what the user's attachments take; 0 for nobody."""
    rows = await connection.execute(select(col(User.stored_bytes)).where(col(User.id) == user_id))
    return rows.scalar() or 0


async def charge(connection: AsyncConnection, user_id: int, size: int, quota: int) -> bool:
    """Add to what the user's attachments take; False when that would exceed `quota` (0: none).

    The user's row is locked until the commit: of two uploads at once, the second sees the first.
    False for a user who was deleted, too.
    """
    more = update(User).where(col(User.id) == user_id, col(User.deleted_at).is_(None))
    if quota:
        more = more.where(col(User.stored_bytes) + size <= quota)
    charged = await connection.execute(more.values(stored_bytes=col(User.stored_bytes) + size))
    return charged.rowcount == 1


async def refund(connection: AsyncConnection, sizes: Iterable[tuple[int, int]]) -> None:
    """Subtract the sizes of attachments that are gone: pairs of owner and size."""
    totals: defaultdict[int, int] = defaultdict(int)
    for owner_id, size in sizes:
        totals[owner_id] += size
    for owner_id, total in sorted(totals.items()):  # in one order, so that two never deadlock
        less = col(User.stored_bytes) - total
        await connection.execute(
            update(User)
            .where(col(User.id) == owner_id)
            .values(stored_bytes=case((less > 0, less), else_=0))
        )
