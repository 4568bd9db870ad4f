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
from db.attachments import unsent_files_of
from db.engines.database import DatabaseUnavailable
from db.engines.remains import empty_write_ahead_log
from db.log.admission import Admission
from db.log.changes.accounts import DeleteAccount, SetAdmin, SetDisabled
from db.log.changes.blocks import UnknownUser
from db.messages import head_position
from db.models import StoredUser
from events.control import Control
from events.facts import AccountChanged, BroadcastChanged, Fact
from resolvers.changes import commit, write_again
from resolvers.context import Context
from resolvers.errors import Conflict, NotFound
from resolvers.guards.fields import clean_display_name, clean_email
from resolvers.sessions import check_own_password
from resolvers.upload_sweep import remove_unsent

logger = logging.getLogger("parley.accounts")

PAGE = 500


def follow_accounts(control: Control, admission: Admission) -> None:
    """Have the log follow what is done to accounts, and who may write to everybody: once."""

    def changed(fact: Fact, change: AccountChanged) -> None:
        if fact.actor_id is not None:
            admission.forget_user(fact.actor_id)

    def allow(fact: Fact, change: BroadcastChanged) -> None:
        admission.broadcasters = change.allowed

    control.listen(AccountChanged, changed)
    control.listen(BroadcastChanged, allow)
    control.on_loss(admission.known_users.clear)


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

    async def insert(connection: AsyncConnection) -> StoredUser:
        return await users.insert_user(
            connection,
            email=email,
            display_name=display_name,
            password_hash=password_hash,
            created_at=datetime.now(UTC),
            joined_position=await head_position(connection),
        )

    try:
        return await write_again(ctx, insert)
    except IntegrityError as error:
        raise Conflict("Email already used") from error


async def disable_user(ctx: Context, email: str) -> Account:
    """Put a user out everywhere, and keep them out. For the command line. Raises NotFound."""
    account = await _find(ctx, email)
    await _change(ctx, SetDisabled(account.id, True), email)
    return account


async def enable_user(ctx: Context, email: str) -> Account:
    """Let a user log in again. For the command line. Raises NotFound."""
    account = await _find(ctx, email)
    await _change(ctx, SetDisabled(account.id, False), email)
    return account


async def set_admin(ctx: Context, email: str, *, is_admin: bool) -> Account:
    """Make a user an administrator, or one no more. For the command line. Raises NotFound."""
    account = await _find(ctx, email)
    await _change(ctx, SetAdmin(account.id, is_admin), email)
    return account


async def delete_user(ctx: Context, email: str) -> Account:
    """Delete a user; what they sent stays. For the command line. Raises NotFound."""
    account = await _find(ctx, email)
    await _delete(ctx, account.id, email)
    return account


async def delete_own_account(ctx: Context, password: str) -> None:
    """Delete the viewer's account. Raises Unauthenticated, BadInput, RateLimited."""
    viewer = ctx.user
    account = await check_own_password(ctx, password)
    await _delete(ctx, viewer.id, account.email)


async def _find(ctx: Context, email: str) -> Account:
    async with ctx.read() as connection:
        account = await accounts.find_account(connection, email.strip().lower())
    if account is None or account.deleted_at is not None:
        raise NotFound(f"There is no account with the e-mail {email}")
    return account


async def _change(ctx: Context, change: SetDisabled | SetAdmin | DeleteAccount, email: str) -> None:
    try:
        await commit(ctx, change)
    except UnknownUser as error:  # it was deleted in the meantime
        raise NotFound(f"There is no account with the e-mail {email}") from error


async def _delete(ctx: Context, user_id: int, email: str) -> None:
    async with ctx.read() as connection:
        unsent = await unsent_files_of(connection, user_id)
    await _change(ctx, DeleteAccount(user_id), email)
    # Of these, the files that nothing refers to any more leave the store.
    await _erase(ctx, unsent)


async def _erase(ctx: Context, dead: Collection[int]) -> None:
    """After the commit, have what was forgotten leave the store and SQLite's files too.

    What does not succeed is logged and left to the sweep: the account is deleted all the same.
    """
    await remove_unsent(ctx, dead)
    try:
        await empty_write_ahead_log(ctx.db)
    except DatabaseUnavailable as error:
        logger.warning("The write-ahead log could not be emptied: %s", error)
