"""Queries on users."""

import unicodedata
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.engines.statements import insert_row, rows_by_key
from db.models import StoredUser, User, columns, utc_from
from db.people.familiar_addresses import is_familiar

_COLUMNS = columns(StoredUser, User)
_NAMES = [column.name for column in _COLUMNS]


def search_form(name: str) -> str:
    """Return the form in which names are compared by a search: composed and case-folded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


async def insert_user(
    connection: AsyncConnection,
    *,
    email: str,
    display_name: str,
    password_hash: str,
    created_at: datetime,
    joined_position: int = 0,
) -> StoredUser:
    """Add a user. Raises sqlalchemy's IntegrityError when the e-mail is taken.

    Broadcasts up to `joined_position` were sent before the user came.
    """
    values = {"email": email, "display_name": display_name, "password_hash": password_hash}
    values["search_name"] = search_form(display_name)
    more = {"created_at": created_at, "joined_position": joined_position}
    user_id = await insert_row(connection, User, {**values, **more})
    return StoredUser(user_id, email, display_name, created_at, None)


async def find_by_email(connection: AsyncConnection, email: str) -> StoredUser | None:
    """Return the user with this normalised e-mail."""
    row = (await connection.execute(select(*_COLUMNS).where(col(User.email) == email))).first()
    return None if row is None else StoredUser(*row)


async def find_login(
    connection: AsyncConnection, email: str, *, address: str, since: datetime
) -> tuple[StoredUser, str, bool] | None:
    """Return the same user, the hash of the password, and whether the address is familiar."""
    rows = await connection.execute(
        select(*_COLUMNS, col(User.password_hash), is_familiar(address, since)).where(
            col(User.email) == email
        )
    )
    row = rows.first()
    return None if row is None else (StoredUser(*row[:-2]), row[-2], bool(row[-1]))


async def find_users(connection: AsyncConnection, ids: Collection[int]) -> dict[int, StoredUser]:
    """Return the users that exist among these ids; one who was deleted is nameless."""
    keys = [(id_,) for id_ in sorted(ids)]
    rows = await rows_by_key(connection, "users", ("id",), keys, wanted=_NAMES)
    return {
        id_: StoredUser(id_, email, name, utc_from(created), seen and utc_from(seen), *rest)
        for id_, email, name, created, seen, *rest in rows
    }


async def existing_ids(connection: AsyncConnection, ids: Collection[int]) -> set[int]:
    """Return those of these ids that are users, and were not deleted."""
    return {*await find_senders(connection, ids)}


async def find_senders(connection: AsyncConnection, ids: Collection[int]) -> dict[int, bool]:
    """Return the existing ones of these ids, and whether each may send: is not disabled."""
    wanted = ("id", "disabled_at", "deleted_at")
    keys = [(id_,) for id_ in sorted(ids)]
    rows = await rows_by_key(connection, "users", ("id",), keys, wanted=wanted)
    return {id_: disabled_at is None for id_, disabled_at, deleted_at in rows if deleted_at is None}


async def admin_ids(connection: AsyncConnection, ids: Collection[int]) -> set[int]:
    """Return those of these ids that are administrators."""
    rows = await connection.execute(
        select(col(User.id)).where(col(User.id).in_(ids), col(User.is_admin).is_(True))
    )
    return set(rows.scalars())


async def page_users(
    connection: AsyncConnection,
    *,
    search: str | None,
    after: int,
    limit: int,
    among: Collection[int] | None = None,
) -> Sequence[StoredUser]:
    """Return up to `limit` users with ids past `after`, whose names contain `search`.

    With `among`, of these ids only. Those who were deleted are left out.
    """
    query = (
        select(*_COLUMNS)
        .where(col(User.id) > after, col(User.deleted_at).is_(None))
        .order_by(col(User.id))
        .limit(limit)
    )
    if among is not None:
        query = query.where(col(User.id).in_(among))
    if search:
        query = query.where(col(User.search_name).contains(search_form(search), autoescape=True))
    return [StoredUser(*row) for row in await connection.execute(query)]


async def set_last_seen(
    connection: AsyncConnection, user_ids: Collection[int], at: datetime
) -> None:
    """Remember when the last connection of each of these users ended."""
    await connection.execute(update(User).where(col(User.id).in_(user_ids)).values(last_seen_at=at))


async def lock_invisible(connection: AsyncConnection, user_ids: Collection[int]) -> dict[int, bool]:
    """Return which of those of these users who were not deleted are invisible; keep them so."""
    rows = await connection.execute(
        select(col(User.id), col(User.invisible))
        .where(col(User.id).in_(user_ids), col(User.deleted_at).is_(None))
        .with_for_update()
    )
    return {id_: bool(invisible) for id_, invisible in rows}


async def page_invisible(connection: AsyncConnection, after: int, limit: int) -> Sequence[int]:
    """Return up to `limit` ids past `after` of invisible users: a range of an index."""
    return await _page_ids(connection, col(User.invisible).is_(True), after, limit)


async def page_hiding(connection: AsyncConnection, after: int, limit: int) -> Sequence[int]:
    """Return the same of users who have read receipts off."""
    return await _page_ids(connection, col(User.read_receipts).is_(False), after, limit)


async def _page_ids(
    connection: AsyncConnection, condition: ColumnElement[bool], after: int, limit: int
) -> Sequence[int]:
    rows = await connection.execute(
        select(col(User.id))
        .where(condition, col(User.id) > after)
        .order_by(col(User.id))
        .limit(limit)
    )
    return rows.scalars().all()
