"""A user changes the name, the status text or the picture that others see."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from db.log.changes.blocks import UnknownUser
from db.log.changes.change import Change, Made, Outcome, Refused
from db.models import EVERYBODY_ID
from db.people import avatars
from db.people.accounts import update_accounts
from db.people.users import search_form
from events.facts import Members, UserChanged


class UnknownAvatar(Refused):
    """The picture was swept, or is in use already."""


class _Profile(NamedTuple):
    display_name: str
    status_text: str
    avatar_key: str | None


class ChangeProfile(Change, frozen=True, gc=False):
    """Changes what is given; "" clears the status text, and takes the picture away."""

    author: ClassVar[str] = "user_id"

    user_id: int
    display_name: str | None = None
    status_text: str | None = None
    avatar_key: str | None = None  # of a picture that was reserved for the user

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses with UnknownUser and UnknownAvatar."""
        rows = await avatars.lock_profiles(connection, {change.user_id for change in changes})
        before = {user_id: _Profile(*row) for user_id, row in rows.items()}
        free = await avatars.lock_unused(
            connection, {c.avatar_key for c in changes if c.avatar_key}
        )
        after, outcomes = {**before}, []
        for change in changes:
            outcome, profile = change._apply(after.get(change.user_id), free)
            if profile is not None:
                after[change.user_id] = profile
            outcomes.append(outcome)
        edits = {id_: _columns(before[id_], profile) for id_, profile in after.items()}
        await update_accounts(connection, {id_: edit for id_, edit in edits.items() if edit})
        old = {profile.avatar_key for profile in before.values()} - {None}
        new = {profile.avatar_key for profile in after.values()} - {None}
        # A picture that a later change of the batch has replaced was never in use.
        passed = free.keys() - new
        await avatars.change_uses(
            connection,
            [key for key in new - old if key],
            [key for key in (old - new) | passed if key],
            now,
        )
        return outcomes

    def _apply(
        self, profile: _Profile | None, free: dict[str, int]
    ) -> tuple[Outcome, _Profile | None]:
        if profile is None:
            return UnknownUser(), None
        if self.avatar_key and free.get(self.avatar_key) != self.user_id:
            return UnknownAvatar(), None
        changed = profile._replace(
            display_name=profile.display_name if self.display_name is None else self.display_name,
            status_text=profile.status_text if self.status_text is None else self.status_text,
            avatar_key=profile.avatar_key if self.avatar_key is None else self.avatar_key or None,
        )
        if changed == profile:
            return None, None
        return Made(self.user_id, UserChanged(), Members(EVERYBODY_ID)), changed


def _columns(before: _Profile, after: _Profile) -> dict[str, Any]:
    """Return the columns of the user's row that have another value now."""
    changed: dict[str, Any] = {
        name: value for name, value in after._asdict().items() if value != getattr(before, name)
    }
    if "display_name" in changed:
        changed["search_name"] = search_form(after.display_name)
    return changed
