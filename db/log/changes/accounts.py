"""Accounts are disabled, enabled, deleted, and given or denied an administrator's rights."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from db import accounts
from db.accounts import Account, lock_account
from db.attachments import forget_unsent_of
from db.log.changes.blocks import UnknownUser
from db.log.changes.change import Change, Made, Outcome
from db.log.changes.sessions import end_sessions
from events.facts import AccountChanged


class _OfAccount(Change, frozen=True, gc=False):
    """What is done to one account. Refuses with UnknownUser where it was deleted."""

    decides: ClassVar[bool] = True

    user_id: int

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses with UnknownUser."""
        outcomes: list[Outcome] = []
        for change in changes:
            account = await lock_account(connection, change.user_id)
            if account is None or account.deleted_at is not None:
                outcomes.append(UnknownUser())
            else:
                outcomes.append(
                    Made(change.user_id, await change._change(connection, account, now))
                )
        return outcomes

    async def _change(
        self, connection: AsyncConnection, account: Account, now: datetime
    ) -> AccountChanged:
        raise NotImplementedError


class SetDisabled(_OfAccount, frozen=True, gc=False):
    """Puts a user out everywhere and keeps them out, or lets them log in again."""

    disabled: bool

    async def _change(
        self, connection: AsyncConnection, account: Account, now: datetime
    ) -> AccountChanged:
        ended = await _put_out(connection, account.id, now) if self.disabled else None
        await accounts.set_disabled(connection, account.id, now if self.disabled else None)
        return AccountChanged(self.disabled, False, account.is_admin, ended)


class SetAdmin(_OfAccount, frozen=True, gc=False):
    """Makes a user an administrator, or one no more."""

    is_admin: bool

    async def _change(
        self, connection: AsyncConnection, account: Account, now: datetime
    ) -> AccountChanged:
        await accounts.set_admin(connection, account.id, is_admin=self.is_admin)
        return AccountChanged(account.disabled_at is not None, False, self.is_admin)


class DeleteAccount(_OfAccount, frozen=True, gc=False):
    """Puts the user out everywhere and forgets who they were; what they sent stays."""

    async def _change(
        self, connection: AsyncConnection, account: Account, now: datetime
    ) -> AccountChanged:
        ended = await _put_out(connection, account.id, now)
        await accounts.erase_account(connection, account.id, now)
        await forget_unsent_of(connection, account.id)
        return AccountChanged(account.disabled_at is not None, True, False, ended)


async def _put_out(connection: AsyncConnection, user_id: int, now: datetime) -> tuple[int, ...]:
    ended = await end_sessions(connection, user_id)
    await accounts.refuse_older_tokens(connection, user_id, now)
    return ended
