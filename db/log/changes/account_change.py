"""Changes to accounts and their sessions: each is decided by itself, all are written together."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from db import attachments
from db.log.changes.change import Change, Made, Outcome, Refused
from db.people import accounts, avatars, familiar_addresses, sessions
from db.people.accounts import Account
from db.people.sessions import NewSession
from events.facts import AccountChanged, SessionEnded, SessionRenewed


class AccountState(NamedTuple):
    """An account, as a change finds it."""

    account: Account | None
    # When each of its sessions was opened, by their ids, the latest first.
    opened: Mapping[int, datetime]
    now: datetime

    @property
    def usable(self) -> Account | None:
        """The account, if its owner may log in."""
        account = self.account
        if account is None or account.disabled_at is not None or account.deleted_at is not None:
            return None
        return account


class Edit(NamedTuple):
    """What a change does to one account and its sessions."""

    # The fact that is made; None where nobody but the caller must hear of the change.
    body: AccountChanged | SessionEnded | SessionRenewed | None
    # The columns of the account's row that get another value.
    columns: Mapping[str, Any] = {}
    ended: Sequence[int] = ()
    renewed: Mapping[int, datetime] = {}
    opened: NewSession | None = None
    # The owner came in from the new session's address.
    is_login: bool = False
    # What the account's addresses, pictures and unsent uploads tell of its owner is forgotten.
    forgets: bool = False


class AccountChange(Change, frozen=True, gc=False):
    """A change to one account. Subclasses say in `decide` what it does."""

    user_id: int

    def decide(self, state: AccountState) -> Edit | Refused | None:
        """Return what the change does to the account; None where it is so already."""
        raise NotImplementedError

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses as `decide` does."""
        outcomes: dict[int, Outcome] = {}
        rest = [*enumerate(changes)]
        while rest:
            # The first change of each account: a second one must see what the first has written.
            firsts = {change.user_id: (index, change) for index, change in reversed(rest)}
            written = await _write_together(connection, [c for _, c in firsts.values()], now)
            outcomes |= {index: written[user_id] for user_id, (index, _) in firsts.items()}
            rest = [(index, change) for index, change in rest if index not in outcomes]
        return [outcomes[index] for index in range(len(changes))]


async def _write_together(
    connection: AsyncConnection, changes: Sequence[AccountChange], now: datetime
) -> dict[int, Outcome]:
    """Write changes of different accounts; return what came of each, by its account."""
    ids = [change.user_id for change in changes]
    known = await accounts.lock_accounts(connection, ids)
    opened = await sessions.find_openings(connection, ids)
    decided = {
        change.user_id: change.decide(AccountState(known.get(id_), opened.get(id_, {}), now))
        for id_, change in zip(ids, changes, strict=True)
    }
    edits = {id_: edit for id_, edit in decided.items() if isinstance(edit, Edit)}
    new = await _write_edits(connection, edits, now)
    return {
        id_: Made(id_, edit.body, answer=new.get(id_)) if isinstance(edit, Edit) else edit
        for id_, edit in decided.items()
    }


async def _write_edits(
    connection: AsyncConnection, edits: Mapping[int, Edit], now: datetime
) -> dict[int, int]:
    """Return the ids of the sessions that were opened, by their users."""
    columns = {id_: edit.columns for id_, edit in edits.items() if edit.columns}
    await accounts.update_accounts(connection, columns)
    await sessions.remove_sessions(connection, [id_ for e in edits.values() for id_ in e.ended])
    renewed = {id_: ends for e in edits.values() for id_, ends in e.renewed.items()}
    await sessions.extend_sessions(connection, renewed)
    if forgotten := [id_ for id_, edit in edits.items() if edit.forgets]:
        await familiar_addresses.forget_addresses(connection, forgotten)
        await attachments.forget_unsent_of(connection, forgotten)
        await avatars.drop_all_of(connection, forgotten)
    new = {id_: edit.opened for id_, edit in edits.items() if edit.opened is not None}
    logins = {id_: session.address for id_, session in new.items() if edits[id_].is_login}
    await familiar_addresses.note_addresses(connection, logins, now)
    return await sessions.insert_sessions(connection, new, now)
