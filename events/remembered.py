"""The log's last entries, kept in memory: for replays, and to notice a log that lost its tail."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from msgspec.structs import replace

from events.facts import Entry, Everybody, Fact, Recipients, Topics

E = TypeVar("E", bound=Entry)

# So many last entries are kept: more than a failover can lose, and enough for a crowd that was cut
# off for a moment. At 16 KiB a message they take 16 MiB at most.
REMEMBERED = 1024


class Visibility(Protocol):
    """Who may see an entry, and who may see it later (db/visibility.py has the rule)."""

    def recipients(self, message: Entry, /) -> Recipients:
        """Return to whom the message goes as it is handed out."""

    def knows_groups_of(self, viewer_id: int, /) -> bool:
        """Whether the others can tell what the viewer sees of groups."""

    def shows(
        self, message: Entry, viewer_id: int, broadcasts_after: int, /, *, groups: bool
    ) -> bool:
        """Whether the viewer, to whom broadcasts past this position are shown, may see it.

        `groups`: whether the viewer's wire shows what is written in groups.
        """

    def fact_recipients(self, fact: Fact, /) -> Topics | Everybody:
        """Return the topics to which the fact goes as it is handed out."""

    def shown_to(self, fact: Fact, /) -> Callable[[int], object] | None:
        """Return to which of a group's members the fact is shown as it is stored; None: to all."""

    def may_know(self, fact: Fact, viewer_id: int, /) -> bool:
        """Whether the viewer may know of a read mark, if the fact is about any."""

    def shows_fact(
        self, fact: Fact, viewer_id: int, broadcasts_after: int, *, groups: bool = True
    ) -> bool | None:
        """Whether the viewer is shown the fact later; None where that is not known here."""


class Remembered(Generic[E]):
    """The last entries that were handed out, each as its message is now."""

    def __init__(self, visibility: Visibility) -> None:
        self._visibility = visibility
        self._last: list[E | Fact | None] = [None] * REMEMBERED  # each at its position, modulo that

    def put(self, entry: E | Fact) -> None:
        """Keep the entry that was handed out last."""
        self._last[entry.id % REMEMBERED] = entry
        if type(entry) is Fact and entry.record is not None:
            # A replay must not show what was edited or deleted since.
            record: Any = entry.record
            kept = self._last[record.id % REMEMBERED]
            if kept is not None and kept.id == record.id:
                self._last[record.id % REMEMBERED] = record

    def may_hold(self, entry: E | Fact) -> bool:
        """Whether this can be what was handed out at its position."""
        last = self._last[entry.id % REMEMBERED]
        return last is None or last.id != entry.id or last.created_at == entry.created_at

    def go_back(self, kept: int) -> None:
        """Forget what came after this position."""
        self._last = [entry if entry and entry.id <= kept else None for entry in self._last]

    def messages(
        self, viewer_id: int, after: int, upto: int, broadcasts_after: int, *, groups: bool
    ) -> Sequence[E] | None:
        """Return the messages with after < position <= upto that the viewer may see.

        None where not all entries between are kept, or the viewer's groups are not known.
        """
        entries = self.between(after, upto)
        if groups and not self._visibility.knows_groups_of(viewer_id):
            return None
        if entries is None:
            return None
        shows = self._visibility.shows
        return [
            entry
            for entry in entries
            if type(entry) is not Fact and shows(entry, viewer_id, broadcasts_after, groups=groups)
        ]

    def events(
        self, viewer_id: int, after: int, upto: int, broadcasts_after: int, *, groups: bool
    ) -> Sequence[E | Fact] | None:
        """Return the same with the facts that the viewer is shown; None also where it is unsure."""
        entries = self.between(after, upto)
        if entries is None or (groups and not self._visibility.knows_groups_of(viewer_id)):
            return None
        visibility, latest = self._visibility, dict[int | None, Any]()
        found: list[E | Fact] = []
        for entry in reversed(entries):
            if type(entry) is not Fact:
                if visibility.shows(entry, viewer_id, broadcasts_after, groups=groups):
                    found.append(entry)
            elif entry.is_shown and entry.is_whole:
                shown = visibility.shows_fact(entry, viewer_id, broadcasts_after, groups=groups)
                if shown is None:
                    return None
                if shown:
                    record = latest.setdefault(entry.message_id, entry.record)
                    known = record is entry.record
                    found.append(entry if known else replace(entry, record=record))
        found.reverse()
        return found

    def between(self, after: int, upto: int) -> list[E | Fact] | None:
        """Return the entries with after < position <= upto; None where not all are kept."""
        if upto - after > REMEMBERED:
            return None
        found = []
        for position in range(after + 1, upto + 1):
            entry = self._last[position % REMEMBERED]
            if entry is None or entry.id != position:
                return None
            found.append(entry)
        return found
