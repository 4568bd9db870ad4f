"""What people of the mixed load tried, how it ended, and what each try may leave in the log."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Attempt(NamedTuple):
    """A change to be made: the document, and what its fact in the log is known by.

    `refusals` are the codes with which it may be refused, because others act at the same time.
    `retried`: it may be asked again after an answer that was lost.
    """

    document: str
    variables: dict[str, Any]
    mark: tuple[Any, ...]
    refusals: frozenset[str] = frozenset()
    retried: bool = True


@dataclass(slots=True)
class Outcome:
    """How an attempt ended: with an answer, a refusal, or neither.

    `unheard`: some try ended without an answer, and may have been done.
    """

    data: Any = None
    refused: str | None = None
    unheard: bool = False

    @property
    def acknowledged(self) -> bool:
        """Whether somebody was told that it is done."""
        return self.data is not None


@dataclass(slots=True)
class Tally:
    """How many facts of one mark there must be, and how many there may be."""

    least: int = 0
    most: int = 0


@dataclass(slots=True)
class Attempts:
    """All that was tried; `verify` compares it with the log."""

    tallies: dict[tuple[Any, ...], Tally] = field(default_factory=dict)
    # What the last word on a thing is, if it is known: of a text, a title, a setting.
    said: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    # The furthest mark that was acknowledged, of a person in a conversation.
    furthest: dict[tuple[Any, ...], int] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)  # by kind
    refused: int = 0
    unheard: int = 0
    contradictions: list[str] = field(default_factory=list)

    def note(self, attempt: Attempt, outcome: Outcome) -> None:
        """Take how an attempt ended."""
        tally = self.tallies.setdefault(attempt.mark, Tally())
        kind = attempt.mark[0]
        self.unheard += outcome.unheard
        if kind == "message.deleted" and tally.least:
            return  # several delete it, and all are told that it is
        if outcome.acknowledged:
            tally.least += 1
            tally.most += 1
            self.acknowledged[kind] = self.acknowledged.get(kind, 0) + 1
            return
        tally.most += outcome.unheard
        self.refused += outcome.refused is not None
        if outcome.refused is not None and outcome.refused not in attempt.refusals:
            self.contradictions.append(f"{attempt} was refused with {outcome.refused}")

    def say(self, key: tuple[Any, ...], value: Any, outcome: Outcome) -> None:
        """Note what is so now; after a try of which nothing is known, neither is this."""
        if outcome.acknowledged:
            self.said[key] = value
        elif outcome.unheard:
            self.said.pop(key, None)

    def verify(
        self, marks: Iterable[tuple[Any, ...]], excused: Callable[[tuple[Any, ...]], bool]
    ) -> None:
        """Each acknowledged change has its one fact, and no fact is without an attempt.

        Where it is `excused`, an acknowledged change may have been no change any more.
        """
        assert not self.contradictions, self.contradictions[:5]
        found: dict[tuple[Any, ...], int] = {}
        for mark in marks:
            found[mark] = found.get(mark, 0) + 1
        for mark in found.keys() | self.tallies.keys():
            number, tally = found.get(mark, 0), self.tallies.get(mark, Tally())
            if mark[0] == "message.deleted":
                tally.most = min(tally.most, 1)
            assert number <= tally.most, f"{mark}: {number} times in the log, {tally}"
            if not excused(mark):
                assert number >= tally.least, f"{mark}: acknowledged and lost, {number}, {tally}"
