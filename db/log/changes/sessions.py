"""Sessions end, last longer, or make room for a new one where the password is changed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection

from db import accounts, sessions, users
from db.accounts import Account, is_after, lock_account
from db.log.changes.change import Change, Made, Outcome, Refused
from events.facts import SessionEnded, SessionRenewed


class NotUsable(Refused):
    """The account, or the session that the change was asked for in, is good no more."""


class SessionTooOld(Refused):
    """The session was opened too long ago to be renewed."""


class OtherPassword(Refused):
    """The password is another one by now."""


class EndSessions(Change, frozen=True, gc=False):
    """Ends sessions of a user; without `session_ids` all of them.

    With `older_tokens`, the tokens that name no session end too. Makes no fact where nothing ends.
    """

    user_id: int
    session_ids: tuple[int, ...] | None = None
    older_tokens: bool = False

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses nothing."""
        return [await change._end(connection, now) for change in changes]

    async def _end(self, connection: AsyncConnection, now: datetime) -> Outcome:
        await lock_account(connection, self.user_id)
        ended = await end_sessions(connection, self.user_id, self.session_ids)
        if self.older_tokens:
            await accounts.refuse_older_tokens(connection, self.user_id, now)
        elif not ended:
            return None
        return Made(self.user_id, SessionEnded(ended, older_tokens=self.older_tokens))


class RenewSession(Change, frozen=True, gc=False):
    """Has a session of a user last until `expires_at`, unless it is older than `most_seconds`."""

    user_id: int
    session_id: int
    expires_at: datetime
    most_seconds: int

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses with NotUsable and SessionTooOld."""
        return [await change._renew(connection, now) for change in changes]

    async def _renew(self, connection: AsyncConnection, now: datetime) -> Outcome:
        if not is_usable(await lock_account(connection, self.user_id)):
            return NotUsable()
        opened = await sessions.find_opening(connection, self.user_id, self.session_id)
        if opened is None:
            return NotUsable()
        if now - opened >= timedelta(seconds=self.most_seconds):
            return SessionTooOld()
        await sessions.extend_session(
            connection, self.user_id, self.session_id, expires_at=self.expires_at
        )
        return Made(self.user_id, SessionRenewed(self.session_id, self.expires_at))


class ReplacePassword(Change, frozen=True, gc=False):
    """Replaces a password, ends all sessions and older tokens, and opens one new session.

    It is asked for in `session_id`, or by an older token that was issued at `issued_at`.
    """

    user_id: int
    session_id: int | None
    issued_at: float | None
    old_hash: str
    new_hash: str
    expires_at: datetime
    agent: str
    address: str

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses with NotUsable and OtherPassword."""
        return [await change._replace(connection, now) for change in changes]

    async def _replace(self, connection: AsyncConnection, now: datetime) -> Outcome:
        account = await lock_account(connection, self.user_id)
        if account is None or not is_usable(account):
            return NotUsable()
        if self.session_id is None and not is_after(self.issued_at, account.tokens_from):
            return NotUsable()
        if account.password_hash != self.old_hash:
            return OtherPassword()
        ids = await sessions.session_ids(connection, self.user_id)
        if self.session_id is not None and self.session_id not in ids:
            return NotUsable()
        await users.set_password_hash(connection, self.user_id, self.new_hash)
        ended = await end_sessions(connection, self.user_id, tuple(ids))
        await accounts.refuse_older_tokens(connection, self.user_id, now)
        opened = await sessions.insert_session(
            connection,
            user_id=self.user_id,
            now=now,
            expires_at=self.expires_at,
            agent=self.agent,
            address=self.address,
        )
        return Made(self.user_id, SessionEnded(ended, older_tokens=True, opened=opened))


def is_usable(account: Account | None) -> bool:
    """Whether the account's owner may come in."""
    return account is not None and account.disabled_at is None and account.deleted_at is None


async def end_sessions(
    connection: AsyncConnection, user_id: int, ids: tuple[int, ...] | None = None
) -> tuple[int, ...]:
    """Remove these sessions of a user, or all; return them, or nothing where none was there."""
    if ids is None:
        ids = tuple(await sessions.session_ids(connection, user_id))
    removed = await sessions.remove_sessions(connection, user_id, ids) if ids else 0
    return ids if removed else ()
