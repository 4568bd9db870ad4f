"""Queries on the addresses from which the owner of an account came in lately."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.models import FamiliarAddress, User

# Beyond, an account's oldest is forgotten: what one account's logins can fill is bounded.
MAX_FAMILIAR_ADDRESSES = 50


def is_familiar(address: str, since: datetime) -> ColumnElement[bool]:
    """Whether the user of the query came in from the address after a moment: one look by key."""
    return exists().where(
        and_(
            col(FamiliarAddress.user_id) == col(User.id),
            col(FamiliarAddress.address) == address,
            col(FamiliarAddress.seen_at) > since,
        )
    )


async def note_address(
    connection: AsyncConnection, user_id: int, address: str, at: datetime
) -> None:
    """Remember that the owner came in from there. The transaction has locked the account."""
    noted = await connection.execute(
        update(FamiliarAddress).where(_of(user_id, address)).values(seen_at=at)
    )
    if noted.rowcount > 0:
        return
    await connection.execute(
        insert(FamiliarAddress).values(user_id=user_id, address=address, seen_at=at)
    )
    rows = await connection.execute(
        select(col(FamiliarAddress.address))
        .where(col(FamiliarAddress.user_id) == user_id)
        .order_by(col(FamiliarAddress.seen_at).desc())
        .offset(MAX_FAMILIAR_ADDRESSES)
        .limit(MAX_FAMILIAR_ADDRESSES)
    )
    if oldest := [*rows.scalars()]:
        await connection.execute(
            delete(FamiliarAddress).where(
                col(FamiliarAddress.user_id) == user_id, col(FamiliarAddress.address).in_(oldest)
            )
        )


async def forget_addresses(connection: AsyncConnection, user_id: int) -> None:
    """Forget where the user was."""
    await connection.execute(delete(FamiliarAddress).where(col(FamiliarAddress.user_id) == user_id))


async def forget_addresses_before(connection: AsyncConnection, before: datetime, limit: int) -> int:
    """Forget up to `limit` addresses that were last used before a moment; return how many."""
    rows = await connection.execute(
        select(col(FamiliarAddress.user_id), col(FamiliarAddress.address))
        .where(col(FamiliarAddress.seen_at) < before)
        .limit(limit)
    )
    old = [*rows]
    for user_id, address in old:
        await connection.execute(
            delete(FamiliarAddress).where(
                _of(user_id, address), col(FamiliarAddress.seen_at) < before
            )
        )
    return len(old)


def _of(user_id: int, address: str) -> Any:
    return and_(col(FamiliarAddress.user_id) == user_id, col(FamiliarAddress.address) == address)
