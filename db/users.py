"""Queries on users."""

import unicodedata
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.familiar_addresses import is_familiar
from db.models import StoredUser, User

_COLUMNS = (
    col(User.id),
    col(User.email),
    col(User.display_name),
    col(User.created_at),
    col(User.last_seen_at),
)


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

    Broadcasts up to `joined_position` are of before they came.
    """
    result = await connection.execute(
        insert(User).values(
            email=email,
            display_name=display_name,
            search_name=search_form(display_name),
            password_hash=password_hash,
            created_at=created_at,
            joined_position=joined_position,
        )
    )
    key = result.inserted_primary_key
    assert key is not None  # noqa: S101  # an INSERT of one row always has one
    return StoredUser(int(key[0]), email, display_name, created_at, None)


async def find_by_email(connection: AsyncConnection, email: str) -> tuple[StoredUser, str] | None:
    """Return the user with this normalised e-mail, and the hash of the password."""
    rows = await connection.execute(
        select(*_COLUMNS, col(User.password_hash)).where(col(User.email) == email)
    )
    row = rows.first()
    return None if row is None else (StoredUser(*row[:-1]), row[-1])


async def find_login(
    connection: AsyncConnection, email: str, *, address: str, since: datetime
) -> tuple[StoredUser, str, bool] | None:
    """Return the same, and whether its owner came in from an address after a moment."""
    rows = await connection.execute(
        select(*_COLUMNS, col(User.password_hash), is_familiar(address, since)).where(
            col(User.email) == email
        )
    )
    row = rows.first()
    return None if row is None else (StoredUser(*row[:-2]), row[-2], bool(row[-1]))


async def find_users(connection: AsyncConnection, ids: Collection[int]) -> dict[int, StoredUser]:
    """Return the users that exist among these ids; one who was deleted is nameless."""
    rows = await connection.execute(select(*_COLUMNS).where(col(User.id).in_(ids)))
    return {row[0]: StoredUser(*row) for row in rows}


async def existing_ids(connection: AsyncConnection, ids: Collection[int]) -> set[int]:
    """Return those of these ids that are users, and were not deleted."""
    rows = await connection.execute(
        select(col(User.id)).where(col(User.id).in_(ids), col(User.deleted_at).is_(None))
    )
    return set(rows.scalars())


async def find_senders(connection: AsyncConnection, ids: Collection[int]) -> dict[int, bool]:
    """Return the existing ones of these ids, and whether each may send: is not disabled."""
    rows = await connection.execute(
        select(col(User.id), col(User.disabled_at)).where(
            col(User.id).in_(ids), col(User.deleted_at).is_(None)
        )
    )
    return {id_: disabled_at is None for id_, disabled_at in rows}


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
