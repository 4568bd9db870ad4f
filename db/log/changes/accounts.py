"""Accounts are disabled, enabled, deleted, and given or denied an administrator's rights."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from db.accounts import Account, erased
from db.log.changes.account_change import AccountChange, Edit
from db.log.changes.blocks import UnknownUser
from db.log.changes.change import Refused
from events.facts import AccountChanged


class _OfAccount(AccountChange, frozen=True, gc=False):
    """A change that an administrator, or the owner, makes. Refused with UnknownUser."""

    decides: ClassVar[bool] = True

    def decide(
        self, account: Account | None, opened: Mapping[int, datetime], now: datetime
    ) -> Edit | Refused | None:
        if account is None or account.deleted_at is not None:
            return UnknownUser()
        return self._edit(account, tuple(opened), now)

    def _edit(self, account: Account, session_ids: tuple[int, ...], now: datetime) -> Edit:
        raise NotImplementedError


class SetDisabled(_OfAccount, frozen=True, gc=False):
    """Puts a user out everywhere and keeps them out, or lets them log in again."""

    disabled: bool

    def _edit(self, account: Account, session_ids: tuple[int, ...], now: datetime) -> Edit:
        if not self.disabled:
            return Edit(AccountChanged(False, False, account.is_admin), {"disabled_at": None})
        return Edit(
            AccountChanged(True, False, account.is_admin, session_ids),
            {"disabled_at": now, "tokens_from": now},
            ended=session_ids,
        )


class SetAdmin(_OfAccount, frozen=True, gc=False):
    """Makes a user an administrator, or one no more."""

    is_admin: bool

    def _edit(self, account: Account, session_ids: tuple[int, ...], now: datetime) -> Edit:
        is_disabled = account.disabled_at is not None
        return Edit(AccountChanged(is_disabled, False, self.is_admin), {"is_admin": self.is_admin})


class DeleteAccount(_OfAccount, frozen=True, gc=False):
    """Puts the user out everywhere and forgets who they were; what they sent stays."""

    def _edit(self, account: Account, session_ids: tuple[int, ...], now: datetime) -> Edit:
        return Edit(
            AccountChanged(account.disabled_at is not None, True, False, session_ids),
            {**erased(account.id, now), "tokens_from": now},
            ended=session_ids,
            forgets=True,
        )
