"""What the people of the mixed load know of: messages and groups, by what they were told."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Place(NamedTuple):
    """Where somebody writes: to one of a pair, in a group, or to everybody."""

    pair: tuple[int, int] | None = None
    group: int | None = None

    @classmethod
    def between(cls, one: int, other: int) -> "Place":
        """Return the direct conversation of two people."""
        return cls(pair=(min(one, other), max(one, other)))

    def other(self, person: int) -> int:
        """Return the other one of the pair."""
        assert self.pair is not None
        return self.pair[0] + self.pair[1] - person


EVERYBODY = Place()


class Known(NamedTuple):
    """A message that somebody was told is stored."""

    id: int
    sender: int
    place: Place


@dataclass(slots=True)
class Group:
    """A group, as far as the acknowledged changes say. Its founder alone changes it, until they
    leave."""

    id: int
    founder: int
    members: set[int]
    admins: set[int] = field(default_factory=set)
    # Who are about to leave: until that is settled, nobody else touches their membership.
    leaving: set[int] = field(default_factory=set)


@dataclass(slots=True)
class World:
    """What all people of the load know together."""

    people: Sequence[int]
    messages: list[Known] = field(default_factory=list)
    groups: dict[int, Group] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)

    def others(self, person: int) -> list[int]:
        """Return everybody else."""
        return [other for other in self.people if other != person]

    def groups_with(self, person: int) -> list[Group]:
        """Return the groups in which a person is."""
        return [group for group in self.groups.values() if person in group.members]

    def founded_by(self, person: int) -> list[Group]:
        """Return the groups that a person began, and is in."""
        return [group for group in self.groups_with(person) if group.founder == person]

    def seen_by(self, person: int) -> list[Known]:
        """Return messages that a person sees, of the latest ones."""
        inside = {group.id for group in self.groups_with(person)}
        return [
            known
            for known in self.messages[-60:]
            if known.place == EVERYBODY
            or (known.place.group in inside)
            or (known.place.pair is not None and person in known.place.pair)
        ]


def pick(found: Sequence[T]) -> T | None:
    """Return one of them, if there are any."""
    return random.choice(found) if found else None
