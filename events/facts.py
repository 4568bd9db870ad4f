"""The closed set of facts: frozen, typed, in the past tense."""

from collections.abc import Sequence
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import msgspec


class Entry(Protocol):
    """An entry of the log, as far as the feed looks into it."""

    @property
    def id(self) -> int:
        """The entry's position in the log."""

    @property
    def sender_id(self) -> int:
        """Who wrote it."""

    @property
    def receiver_id(self) -> int | None:
        """Who it is for; None for everybody."""

    @property
    def content(self) -> str:
        """What it says: the part whose size varies."""

    @property
    def created_at(self) -> datetime:
        """When it was stored."""


E = TypeVar("E", bound=Entry)


class EntriesAppended(msgspec.Struct, Generic[E], frozen=True):
    """A batch was committed: every position of the log from the first entry's to the last's."""

    entries: Sequence[E]


class PresenceChanged(msgspec.Struct, frozen=True):
    """A user came online with the first connection, or went offline with the last.

    With `seen_by`, it looks so to this one person, from whom the user is kept apart from now on,
    or is so no more.
    """

    user_id: int
    online: bool
    last_seen_at: datetime | None = None
    seen_by: int | None = None


class NoticeGiven(Protocol):
    """Something was committed that every process must hear of, as far as followers look at it."""

    @property
    def id(self) -> int:
        """Its number; numbers grow, but those of two transactions may appear out of order."""

    @property
    def kind(self) -> str:
        """What it is of: whoever listens, listens to one kind."""
