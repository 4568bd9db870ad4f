"""Queries on accounts: who may log in, with which password, and as an administrator or not."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.models import User, columns
from db.people.familiar_addresses import is_familiar
from db.people.users import search_form

# What others see instead of the name of a deleted user.
DELETED_NAME = "Deleted user"
HASH_OF_NOTHING = ""  # no password has this hash


class Account(msgspec.Struct, frozen=True):
    """A user as an operator sees them."""

    id: int
    email: str
    display_name: str
    password_hash: str
    is_admin: bool
    disabled_at: datetime | None
    deleted_at: datetime | None
    # Tokens without a session that were issued before this are good no more.
    tokens_from: datetime | None


_COLUMNS = columns(Account, User)


def is_after(issued_at: float | None, since: datetime | None) -> bool:
    """Whether a token that names no session was issued after these were last ended."""
    return since is None or (issued_at is not None and issued_at >= since.timestamp())


async def find_account(connection: AsyncConnection, email: str) -> Account | None:
    """Return the account with this normalised e-mail."""
    row = (await connection.execute(select(*_COLUMNS).where(col(User.email) == email))).first()
    return None if row is None else Account(*row)


async def find_own_login(
    connection: AsyncConnection, user_id: int, *, address: str, since: datetime
) -> tuple[Account, bool] | None:
    """Return the user's account, and whether they came in from an address after a moment."""
    query = select(*_COLUMNS, is_familiar(address, since)).where(col(User.id) == user_id)
    row = (await connection.execute(query)).first()
    return None if row is None else (Account(*row[:-1]), bool(row[-1]))


async def lock_accounts(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Account]:
    """Return the accounts that there are, and keep them as they are until the transaction ends.

    Whatever opens or ends sessions locks their account first: a login that began with the old
    password cannot open a session after the change that ended the others.
    """
    rows = await connection.execute(
        select(*_COLUMNS).where(col(User.id).in_(ids)).with_for_update()
    )
    return {row[0]: Account(*row) for row in rows}


async def page_accounts(
    connection: AsyncConnection, *, after: int, limit: int
) -> Sequence[Account]:
    """Return up to `limit` accounts with ids past `after`; deleted ones are none."""
    rows = await connection.execute(
        select(*_COLUMNS)
        .where(col(User.id) > after, col(User.deleted_at).is_(None))
        .order_by(col(User.id))
        .limit(limit)
    )
    return [Account(*row) for row in rows]


async def update_accounts(
    connection: AsyncConnection, columns: Mapping[int, Mapping[str, Any]]
) -> None:
    """Give columns of each of these accounts other values."""
    alike: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for user_id, values in columns.items():
        alike[tuple(values)].append({**values, "of": user_id})
    for rows in alike.values():
        await connection.execute(update(User).where(col(User.id) == bindparam("of")), rows)


def erased(user_id: int, at: datetime) -> dict[str, Any]:
    """Return the columns of a deleted account: nothing tells who it was, and the e-mail is free.

    The row stays for what the user wrote.
    """
    return {
        "email": f"deleted:{user_id}",  # no address, so nobody can register it
        "display_name": DELETED_NAME,
        "search_name": search_form(DELETED_NAME),
        "password_hash": HASH_OF_NOTHING,
        "last_seen_at": None,
        "is_admin": False,
        "deleted_at": at,
        "status_text": "",
        "avatar_key": None,
        "invisible": False,
    }
