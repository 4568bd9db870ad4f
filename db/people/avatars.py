"""Queries on profile pictures: reserved, put into use, dropped and swept."""

from collections.abc import Collection
from datetime import UTC, datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db import storage
from db.models import Avatar, StoredAvatar, User, columns

_COLUMNS = columns(StoredAvatar, Avatar)
_UNUSED = col(Avatar.in_use).is_(False)
# Before any other moment: the next sweep removes a picture with this time, whatever its age.
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


async def find_avatar(connection: AsyncConnection, key: str) -> StoredAvatar | None:
    """Return the picture with this key, if it is in use."""
    row = (
        await connection.execute(
            select(*_COLUMNS).where(col(Avatar.key) == key, col(Avatar.in_use).is_(True))
        )
    ).first()
    return None if row is None else StoredAvatar(*row)


async def reserve(
    connection: AsyncConnection, avatar: StoredAvatar, owner_id: int, quota: int, at: datetime
) -> bool:
    """Note a picture before its bytes are put into the store, and count it against the quota.

    False when the owner's quota has no room, or the owner was deleted; nothing is noted then.
    """
    if not await storage.charge(connection, owner_id, avatar.stored_bytes, quota):
        return False
    row = {
        "key": avatar.key,
        "owner_id": owner_id,
        "large_size": avatar.large_size,
        "small_size": avatar.small_size,
        "in_use": False,
        "changed_at": at,
    }
    await connection.execute(insert(Avatar), [row])
    return True


async def lock_unused(connection: AsyncConnection, keys: Collection[str]) -> dict[str, int]:
    """Return the owners, by key, of those pictures that can be put into use."""
    if not keys:
        return {}
    rows = await connection.execute(
        select(col(Avatar.key), col(Avatar.owner_id))
        .where(col(Avatar.key).in_(keys), _UNUSED, col(Avatar.large_size) >= 0)
        .with_for_update()
    )
    return {key: owner_id for key, owner_id in rows}  # noqa: C416  # rows are no pairs to mypy


async def change_uses(
    connection: AsyncConnection, used: Collection[str], dropped: Collection[str], now: datetime
) -> None:
    """Put pictures into use, and leave others to the next sweep."""
    for keys, values in (
        (used, {"in_use": True, "changed_at": now}),
        (dropped, {"in_use": False, "changed_at": LONG_AGO}),
    ):
        if keys:
            await connection.execute(update(Avatar).where(col(Avatar.key).in_(keys)).values(values))


async def drop_all_of(connection: AsyncConnection, owner_ids: Collection[int]) -> None:
    """Leave every picture of these users to the next sweep; none of them is shown any more."""
    await connection.execute(
        update(Avatar)
        .where(col(Avatar.owner_id).in_(owner_ids))
        .values(in_use=False, changed_at=LONG_AGO)
    )


async def claim_unused(
    connection: AsyncConnection,
    before: datetime,
    limit: int,
    *,
    owner_id: int | None = None,
    keys: Collection[str] | None = None,
) -> Collection[str]:
    """Return up to `limit` pictures that are in no use since then; none can be put into use.

    With `owner_id` or `keys`, only of those.
    """
    query = select(col(Avatar.key)).where(_UNUSED, col(Avatar.changed_at) < before)
    if owner_id is not None:
        query = query.where(col(Avatar.owner_id) == owner_id)
    if keys is not None:
        query = query.where(col(Avatar.key).in_(keys))
    claimed = (await connection.execute(query.limit(limit).with_for_update())).scalars().all()
    if claimed:
        # What is to be given back stays known: the sign alone says that the row is claimed.
        size = col(Avatar.large_size)
        await connection.execute(
            update(Avatar)
            .where(col(Avatar.key).in_(claimed), size >= 0)
            .values(large_size=-1 - size)
        )
    return claimed


async def forget(connection: AsyncConnection, keys: Collection[str]) -> None:
    """Forget pictures that were claimed, and whose bytes are gone from the store."""
    size = col(Avatar.large_size)
    rows = await connection.execute(
        select(col(Avatar.key), col(Avatar.owner_id), -1 - size + col(Avatar.small_size))
        .where(col(Avatar.key).in_(keys), size < 0)
        .with_for_update()
    )
    found = {key: (owner_id, taken) for key, owner_id, taken in rows}
    await connection.execute(delete(Avatar).where(col(Avatar.key).in_(found)))
    await storage.refund(connection, found.values())


async def lock_profiles(
    connection: AsyncConnection, user_ids: Collection[int]
) -> dict[int, tuple[str, str, str | None]]:
    """Return name, status text and picture of those of these users who were not deleted."""
    rows = await connection.execute(
        select(col(User.id), col(User.display_name), col(User.status_text), col(User.avatar_key))
        .where(col(User.id).in_(user_ids), col(User.deleted_at).is_(None))
        .with_for_update()
    )
    return {id_: (name, status, key) for id_, name, status, key in rows}
