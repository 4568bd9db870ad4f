"""Accounts are disabled, enabled, deleted, and given or denied an administrator's rights."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from db.log.changes.account_change import AccountChange, AccountState, Edit
from db.log.changes.blocks import UnknownUser
from db.log.changes.change import Made, Outcome, Refused
from db.log.changes.groups import leave_all
from db.models import EVERYBODY_ID
from db.people.accounts import Account, erased
from events.facts import AccountChanged, Members, UserChanged


class _OfAccount(AccountChange, frozen=True, gc=False):
    """A change that an administrator, or the owner, makes. Refused with UnknownUser."""

    decides: ClassVar[bool] = True

    def decide(self, state: AccountState) -> Edit | Refused | None:
        if state.account is None or state.account.deleted_at is not None:
            return UnknownUser()
        return self._edit(state.account, state)

    def _edit(self, account: Account, state: AccountState) -> Edit:
        raise NotImplementedError


class SetDisabled(_OfAccount, frozen=True, gc=False):
    """Puts a user out everywhere and keeps them out, or lets them log in again."""

    disabled: bool

    def _edit(self, account: Account, state: AccountState) -> Edit:
        if not self.disabled:
            return Edit(AccountChanged(False, False, account.is_admin), {"disabled_at": None})
        ended = tuple(state.opened)
        return Edit(
            AccountChanged(True, False, account.is_admin, ended),
            {"disabled_at": state.now, "tokens_from": state.now},
            ended,
        )


class SetAdmin(_OfAccount, frozen=True, gc=False):
    """Makes a user an administrator, or one no more."""

    is_admin: bool

    def _edit(self, account: Account, state: AccountState) -> Edit:
        is_disabled = account.disabled_at is not None
        return Edit(AccountChanged(is_disabled, False, self.is_admin), {"is_admin": self.is_admin})


class DeleteAccount(_OfAccount, frozen=True, gc=False):
    """Puts the user out everywhere and forgets who they were; what they sent stays.

    In the same change everybody hears of the new name, and the user leaves each of their groups.
    """

    @classmethod
    async def write_at(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime, position: int
    ) -> Sequence[Outcome]:
        """Refuses as `write` does."""
        outcomes = [*await cls.write(connection, changes, now)]
        positions: dict[int, int] = {}
        for outcome in outcomes:
            if isinstance(outcome, Made) and outcome.actor_id is not None:
                position += 2  # the account's own fact, and that of the new name
                positions[outcome.actor_id] = position
        left = await leave_all(connection, [*positions], now, positions)
        return [
            outcome._replace(also=(_renamed(outcome.actor_id), *left[outcome.actor_id]))
            if isinstance(outcome, Made) and outcome.actor_id is not None
            else outcome
            for outcome in outcomes
        ]

    def _edit(self, account: Account, state: AccountState) -> Edit:
        ended = tuple(state.opened)
        return Edit(
            AccountChanged(account.disabled_at is not None, True, False, ended),
            {**erased(account.id, state.now), "tokens_from": state.now},
            ended,
            forgets=True,
        )


def _renamed(user_id: int) -> Made:
    return Made(user_id, UserChanged(), Members(EVERYBODY_ID))
