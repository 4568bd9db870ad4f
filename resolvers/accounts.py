"""Accounts: what an operator does to them at the command line; the end of one's own.

The command line is another process than the server: a server hears of it as of everything that
another process commits, within a second.
"""

import logging
from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import UTC, datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db import accounts, users
from db.accounts import Account
from db.attachments import forget_unsent_of
from db.engines.database import DatabaseUnavailable
from db.engines.remains import empty_write_ahead_log
from db.messages import head_position
from db.models import NoticeKind, StoredNotice, StoredUser
from db.notices import insert_notice
from resolvers.context import Context
from resolvers.errors import Conflict, NotFound
from resolvers.guards.fields import clean_display_name, clean_email
from resolvers.notices import commit
from resolvers.sessions import check_own_password, end_all_sessions
from resolvers.upload_sweep import remove_unsent

logger = logging.getLogger("parley.accounts")

PAGE = 500


def follow_accounts(ctx: Context) -> None:
    """Have this process act on what any does to an account: once, at the start."""
    ctx.notices.listen(NoticeKind.USER_CHANGED, lambda notice: ctx.log.forget_user(notice.user_id))


async def stream_accounts(ctx: Context) -> AsyncGenerator[Sequence[Account], None]:
    """Yield every account, in pages. For the command line: there is no viewer."""
    after = 0
    while True:
        async with ctx.read() as connection:
            page = await accounts.page_accounts(connection, after=after, limit=PAGE)
        if page:
            yield page
        if len(page) < PAGE:
            return
        after = page[-1].id


async def add_user(ctx: Context, *, email: str, password: str, display_name: str) -> StoredUser:
    """Make an account by the rules of registering, whatever REGISTRATION says.

    For the command line. Raises BadInput, Conflict when the e-mail is taken.
    """
    email = clean_email(email)
    display_name = clean_display_name(display_name)
    ctx.passwords.check_new(password)
    password_hash = await ctx.passwords.hash(password)

    async def work(connection: AsyncConnection, given: list[StoredNotice]) -> StoredUser:
        return await users.insert_user(
            connection,
            email=email,
            display_name=display_name,
            password_hash=password_hash,
            created_at=datetime.now(UTC),
            joined_position=await head_position(connection),
        )

    try:
        return await commit(ctx, work)
    except IntegrityError as error:
        raise Conflict("Email already used") from error


async def disable_user(ctx: Context, email: str) -> Account:
    """Put a user out everywhere, and keep them out. For the command line. Raises NotFound."""

    async def work(connection: AsyncConnection, given: list[StoredNotice]) -> Account:
        account = await _find(connection, email)
        await end_all_sessions(connection, account.id, given)
        await accounts.set_disabled(connection, account.id, datetime.now(UTC))
        given.append(await insert_notice(connection, NoticeKind.USER_CHANGED, account.id))
        return account

    return await commit(ctx, work)


async def enable_user(ctx: Context, email: str) -> Account:
    """Let a user log in again. For the command line. Raises NotFound."""

    async def work(connection: AsyncConnection, given: list[StoredNotice]) -> Account:
        account = await _find(connection, email)
        await accounts.set_disabled(connection, account.id, None)
        given.append(await insert_notice(connection, NoticeKind.USER_CHANGED, account.id))
        return account

    return await commit(ctx, work)


async def set_admin(ctx: Context, email: str, *, is_admin: bool) -> Account:
    """Make a user an administrator, or one no more. For the command line. Raises NotFound."""

    async def work(connection: AsyncConnection, given: list[StoredNotice]) -> Account:
        account = await _find(connection, email)
        await accounts.set_admin(connection, account.id, is_admin=is_admin)
        given.append(await insert_notice(connection, NoticeKind.USER_CHANGED, account.id))
        return account

    return await commit(ctx, work)


async def delete_user(ctx: Context, email: str) -> Account:
    """Delete a user; see `_delete`. For the command line. Raises NotFound."""

    async def work(connection: AsyncConnection, given: list[StoredNotice]) -> Account:
        account = await _find(connection, email)
        dead[:] = await _delete(connection, account.id, given)
        return account

    dead: list[int] = []
    account = await commit(ctx, work)
    await _erase(ctx, dead)
    return account


async def delete_own_account(ctx: Context, password: str) -> None:
    """Delete the viewer's account. Raises Unauthenticated, BadInput, RateLimited."""
    viewer = ctx.user
    await check_own_password(ctx, password)

    async def work(connection: AsyncConnection, given: list[StoredNotice]) -> None:
        dead[:] = await _delete(connection, viewer.id, given)

    dead: list[int] = []
    await commit(ctx, work)
    await _erase(ctx, dead)


async def _find(connection: AsyncConnection, email: str) -> Account:
    account = await accounts.find_account(connection, email.strip().lower())
    if account is None or account.deleted_at is not None:
        raise NotFound(f"There is no account with the e-mail {email}")
    return account


async def _delete(
    connection: AsyncConnection, user_id: int, given: list[StoredNotice]
) -> Collection[int]:
    """Put the user out everywhere and forget who they were; what they sent stays.

    Return the ids of the files that nothing refers to any more, for `_erase`.
    """
    await end_all_sessions(connection, user_id, given)
    await accounts.erase_account(connection, user_id, datetime.now(UTC))
    given.append(await insert_notice(connection, NoticeKind.USER_CHANGED, user_id))
    return await forget_unsent_of(connection, user_id)


async def _erase(ctx: Context, dead: Collection[int]) -> None:
    """After the commit, have what was forgotten leave the store and SQLite's files too.

    What does not succeed is logged and left to the sweep: the account is deleted all the same.
    """
    await remove_unsent(ctx, dead)
    try:
        await empty_write_ahead_log(ctx.db)
    except DatabaseUnavailable as error:
        logger.warning("The write-ahead log could not be emptied: %s", error)
