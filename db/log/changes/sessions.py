"""Sessions are opened, last longer, and end."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from db.log.changes.account_change import AccountChange, AccountState, Edit
from db.log.changes.change import Refused
from db.people.accounts import is_after
from db.people.sessions import NewSession
from events.facts import SessionEnded, SessionRenewed


class NotUsable(Refused):
    """The account, or the session or token that the change was asked for with, is good no more."""


class SessionTooOld(Refused):
    """The session was opened too long ago to be renewed."""


class OtherPassword(Refused):
    """The password is another one by now."""


class EndSessions(AccountChange, frozen=True, gc=False):
    """Ends sessions of a user; without `session_ids` all of them.

    With `older_tokens`, the tokens that name no session end too. Makes no fact where nothing ends.
    """

    session_ids: tuple[int, ...] | None = None
    older_tokens: bool = False

    def decide(self, state: AccountState) -> Edit | None:
        """Refuses nothing."""
        asked = state.opened if self.session_ids is None else self.session_ids
        ended = tuple(id_ for id_ in state.opened if id_ in asked)
        if not ended and not self.older_tokens:
            return None
        columns = {"tokens_from": state.now} if self.older_tokens else {}
        return Edit(SessionEnded(ended, older_tokens=self.older_tokens), columns, ended)


class RenewSession(AccountChange, frozen=True, gc=False):
    """Has a session of a user last until `expires_at`, unless it is older than `most_seconds`."""

    session_id: int
    expires_at: datetime
    most_seconds: int

    def decide(self, state: AccountState) -> Edit | Refused:
        """Refuses with NotUsable and SessionTooOld."""
        if state.usable is None or self.session_id not in state.opened:
            return NotUsable()
        if state.now - state.opened[self.session_id] >= timedelta(seconds=self.most_seconds):
            return SessionTooOld()
        ends = self.expires_at
        return Edit(SessionRenewed(self.session_id, ends), renewed={self.session_id: ends})


class OpensSession(AccountChange, frozen=True, gc=False):
    """A change that opens a session. The log answers it with the session's id."""

    session: NewSession

    def _open(
        self,
        state: AccountState,
        most: int,
        columns: Mapping[str, str] = {},
        *,
        is_login: bool = False,
    ) -> Edit:
        """Open the session, and end the oldest ones beyond `most`."""
        surplus = tuple(state.opened)[most - 1 :]
        body = SessionEnded(surplus) if surplus else None
        return Edit(body, columns, surplus, opened=self.session, is_login=is_login)


class LogIn(OpensSession, frozen=True, gc=False):
    """Opens a session by a password, whose hash the caller has verified.

    The oldest sessions beyond `most` end. `new_hash` takes the place of an outdated hash.
    """

    password_hash: str
    most: int
    new_hash: str | None = None

    def decide(self, state: AccountState) -> Edit | Refused:
        """Refuses with OtherPassword, also for a deleted account, and NotUsable."""
        if state.account is None or state.account.password_hash != self.password_hash:
            return OtherPassword()
        if state.usable is None:
            return NotUsable()
        columns = {} if self.new_hash is None else {"password_hash": self.new_hash}
        return self._open(state, self.most, columns, is_login=True)


class GainSession(OpensSession, frozen=True, gc=False):
    """Opens a session by a token that names none and was issued at `issued_at`.

    The oldest sessions beyond `most` end.
    """

    issued_at: float | None
    most: int

    def decide(self, state: AccountState) -> Edit | Refused:
        """Refuses with NotUsable."""
        if state.usable is None or not is_after(self.issued_at, state.usable.tokens_from):
            return NotUsable()
        return self._open(state, self.most)


class ReplacePassword(OpensSession, frozen=True, gc=False):
    """Replaces a password, ends all sessions and older tokens, and opens one new session.

    It is asked for in `session_id`, or by an older token that was issued at `issued_at`.
    """

    session_id: int | None
    issued_at: float | None
    old_hash: str
    new_hash: str

    def decide(self, state: AccountState) -> Edit | Refused:
        """Refuses with NotUsable and OtherPassword."""
        account = state.usable
        if account is None:
            return NotUsable()
        if self.session_id is None and not is_after(self.issued_at, account.tokens_from):
            return NotUsable()
        if account.password_hash != self.old_hash:
            return OtherPassword()
        if self.session_id is not None and self.session_id not in state.opened:
            return NotUsable()
        ended = tuple(state.opened)
        columns = {"password_hash": self.new_hash, "tokens_from": state.now}
        return Edit(SessionEnded(ended, older_tokens=True), columns, ended, opened=self.session)
