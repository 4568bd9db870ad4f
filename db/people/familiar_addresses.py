"""Queries on the addresses from which the owner of an account came in lately."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, exists, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.models import FamiliarAddress, User

# Beyond this, an account's oldest address is forgotten: no account can fill the table.
MAX_FAMILIAR_ADDRESSES = 50
_USER, _ADDRESS = col(FamiliarAddress.user_id), col(FamiliarAddress.address)
_PAIR = tuple_(_USER, _ADDRESS)


def is_familiar(address: str, since: datetime) -> ColumnElement[bool]:
    """Whether the query's user came in from the address after a moment: one look-up by key."""
    return exists().where(
        and_(
            col(FamiliarAddress.user_id) == col(User.id),
            col(FamiliarAddress.address) == address,
            col(FamiliarAddress.seen_at) > since,
        )
    )


async def note_addresses(
    connection: AsyncConnection, addresses: Mapping[int, str], at: datetime
) -> None:
    """Remember that each of these owners of accounts came in from this address.

    The transaction has locked the accounts, or made them.
    """
    if not addresses:
        return
    rows = await connection.execute(
        select(_USER, _ADDRESS)
        .where(_USER.in_(addresses))
        .order_by(_USER, col(FamiliarAddress.seen_at).desc())
    )
    known: dict[int, list[str]] = {}
    for user_id, address in rows:
        known.setdefault(user_id, []).append(address)
    seen = {pair for pair in addresses.items() if pair[1] in known.get(pair[0], ())}
    new = [pair for pair in addresses.items() if pair not in seen]
    if seen:
        await connection.execute(
            update(FamiliarAddress).where(_USER.in_(addresses), _PAIR.in_(seen)).values(seen_at=at)
        )
    if new:
        rows_ = [{"user_id": id_, "address": address, "seen_at": at} for id_, address in new]
        await connection.execute(insert(FamiliarAddress), rows_)
    beyond = [
        (id_, address)
        for id_, _ in new
        for address in known.get(id_, [])[MAX_FAMILIAR_ADDRESSES - 1 :]
    ]
    if beyond:
        await connection.execute(
            delete(FamiliarAddress).where(_USER.in_(addresses), _PAIR.in_(beyond))
        )


async def forget_addresses(connection: AsyncConnection, user_ids: Collection[int]) -> None:
    """Forget where these users were."""
    await connection.execute(delete(FamiliarAddress).where(_USER.in_(user_ids)))


async def forget_addresses_before(connection: AsyncConnection, before: datetime, limit: int) -> int:
    """Forget up to `limit` addresses that were last used before a moment; return how many."""
    is_old = col(FamiliarAddress.seen_at) < before
    rows = await connection.execute(select(_USER, _ADDRESS).where(is_old).limit(limit))
    old = [(user_id, address) for user_id, address in rows]
    if old:
        await connection.execute(delete(FamiliarAddress).where(_PAIR.in_(old), is_old))
    return len(old)
