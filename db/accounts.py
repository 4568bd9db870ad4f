"""Queries on accounts: who may come in, with what password, as what."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db.familiar_addresses import forget_addresses, is_familiar
from db.models import User
from db.users import search_form

# What others see in the place of the name of a user who was deleted.
DELETED_NAME = "Deleted user"

_COLUMNS = (
    col(User.id),
    col(User.email),
    col(User.display_name),
    col(User.password_hash),
    col(User.is_admin),
    col(User.disabled_at),
    col(User.deleted_at),
    col(User.tokens_from),
)


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


async def lock_account(connection: AsyncConnection, user_id: int) -> Account | None:
    """Return the account, and keep it as it is until the transaction ends.

    Whatever opens or ends sessions locks it first: a login that began with the old password
    cannot open one after the change that ended the others.
    """
    query = select(*_COLUMNS).where(col(User.id) == user_id).with_for_update()
    row = (await connection.execute(query)).first()
    return None if row is None else Account(*row)


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


async def refuse_older_tokens(connection: AsyncConnection, user_id: int, before: datetime) -> None:
    """Have the user's tokens that name no session be good only if issued later."""
    await connection.execute(update(User).where(col(User.id) == user_id).values(tokens_from=before))


async def set_disabled(connection: AsyncConnection, user_id: int, at: datetime | None) -> None:
    """Keep the user out from a moment on, or let them in again."""
    await connection.execute(update(User).where(col(User.id) == user_id).values(disabled_at=at))


async def set_admin(connection: AsyncConnection, user_id: int, *, is_admin: bool) -> None:
    """Make the user an administrator, or one no more."""
    await connection.execute(update(User).where(col(User.id) == user_id).values(is_admin=is_admin))


async def erase_account(connection: AsyncConnection, user_id: int, at: datetime) -> None:
    """Forget who the user was, and free the e-mail; the row stays for what they wrote."""
    await forget_addresses(connection, user_id)
    await connection.execute(
        update(User)
        .where(col(User.id) == user_id)
        .values(
            email=f"deleted:{user_id}",  # no address, so it is nobody's to register
            display_name=DELETED_NAME,
            search_name=search_form(DELETED_NAME),
            password_hash="",  # nosec B106  # no password has it
            last_seen_at=None,
            is_admin=False,
            deleted_at=at,
        )
    )
