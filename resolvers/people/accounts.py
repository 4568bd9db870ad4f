"""Accounts: what an operator does to them at the command line, and users who delete their own.

The command line is a process of its own: a server follows its changes within a second, as it
follows those of any other process.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Sequence

from db.attachments import unsent_files_of
from db.engines.database import DatabaseUnavailable
from db.engines.remains import empty_write_ahead_log
from db.log.admission import Admission
from db.log.changes.accounts import DeleteAccount, SetAdmin, SetDisabled
from db.log.changes.blocks import UnknownUser
from db.people import accounts
from db.people.accounts import Account
from events.control import Control
from events.facts import AccountChanged, BroadcastChanged, Fact
from resolvers.attachments.avatars import remove_unused
from resolvers.attachments.sweep import remove_unsent
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.errors import NotFound
from resolvers.people.sessions import check_own_password

logger = logging.getLogger("parley.accounts")

PAGE = 500


def follow_accounts(control: Control, admission: Admission) -> None:
    """Have the log follow the state of accounts, and BROADCAST: once, at the start."""

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


async def disable_user(ctx: Context, email: str) -> Account:
    """Put a user out everywhere, and keep them out. For the command line. Raises NotFound."""
    return await _change_found(ctx, email, lambda user_id: SetDisabled(user_id, True))


async def enable_user(ctx: Context, email: str) -> Account:
    """Let a user log in again. For the command line. Raises NotFound."""
    return await _change_found(ctx, email, lambda user_id: SetDisabled(user_id, False))


async def set_admin(ctx: Context, email: str, *, is_admin: bool) -> Account:
    """Make a user an administrator, or one no more. For the command line. Raises NotFound."""
    return await _change_found(ctx, email, lambda user_id: SetAdmin(user_id, is_admin))


async def delete_user(ctx: Context, email: str) -> Account:
    """Delete a user; what they sent stays. For the command line. Raises NotFound."""
    account = await _find(ctx, email)
    await _delete(ctx, account)
    return account


async def delete_own_account(ctx: Context, password: str) -> None:
    """Delete the viewer's account. Raises Unauthenticated, BadInput, RateLimited."""
    await _delete(ctx, await check_own_password(ctx, password))


async def _find(ctx: Context, email: str) -> Account:
    async with ctx.read() as connection:
        account = await accounts.find_account(connection, email.strip().lower())
    if account is None or account.deleted_at is not None:
        raise NotFound(f"There is no account with the e-mail {email}")
    return account


async def _change_found(
    ctx: Context, email: str, make: Callable[[int], SetDisabled | SetAdmin]
) -> Account:
    account = await _find(ctx, email)
    await _change(ctx, make(account.id), email)
    return account


async def _change(ctx: Context, change: SetDisabled | SetAdmin | DeleteAccount, email: str) -> None:
    try:
        await commit(ctx, change)
    except UnknownUser as error:  # it was deleted in the meantime
        raise NotFound(f"There is no account with the e-mail {email}") from error


async def _delete(ctx: Context, account: Account) -> None:
    """Delete the account, then its files from the store and its bytes from SQLite's files.

    What cannot be removed is logged and left to the sweep: the account is deleted all the same.
    """
    async with ctx.read() as connection:
        unsent = await unsent_files_of(connection, account.id)
    await _change(ctx, DeleteAccount(account.id), account.email)
    await remove_unsent(ctx, unsent)
    await remove_unused(ctx, owner_id=account.id)
    try:
        await empty_write_ahead_log(ctx.db)
    except DatabaseUnavailable as error:
        logger.warning("The write-ahead log could not be emptied: %s", error)
