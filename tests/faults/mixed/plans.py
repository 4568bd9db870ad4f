"""What somebody of the mixed load does next: one plan for each kind of change.

A plan is an attempt, and what follows from how it ended. People act one thing after the other, and
what belongs to somebody is changed by them alone: so each acknowledged change makes one fact, which
its mark names. Only in groups others may come between; there an attempt may be refused.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from tests.faults.mixed.attempts import Attempt, Attempts, Outcome
from tests.faults.mixed.world import EVERYBODY, Group, Known, Place, World, pick

EMOJI = ("👍", "🎉", "❤️")
MOST_GROUPS = 12
FAR = "2099-01-01T00:00:00.000000Z"
# In a group: one was removed meanwhile; a message was deleted; somebody else's role.
IN_GROUPS = frozenset({"NOT_FOUND", "FORBIDDEN", "CONFLICT"})
ALONE: frozenset[str] = frozenset()

SEND = """mutation($to: ID, $in: ID, $c: String, $re: ID, $key: String) {
  sendMessage(receiverId: $to, conversationId: $in, content: $c, replyToId: $re,
    clientMessageId: $key) { id } }"""
EDIT = "mutation($id: ID!, $c: String!) { editMessage(id: $id, content: $c) { id } }"
DELETE = "mutation($id: ID!) { deleteMessage(id: $id) { id } }"
REACT = "mutation($id: ID!, $e: String!) { addReaction(messageId: $id, emoji: $e) { id } }"
UNREACT = "mutation($id: ID!, $e: String!) { removeReaction(messageId: $id, emoji: $e) { id } }"
READ = """mutation($in: ID, $with: ID, $up: ID!) {
  markRead(conversationId: $in, with: $with, upTo: $up) { id } }"""
DELIVERED = "mutation($up: ID!) { markDelivered(upTo: $up) }"
PIN = """mutation($in: ID, $with: ID, $p: Boolean) {
  updateConversation(conversationId: $in, with: $with, pinned: $p) { id } }"""
MUTE = """mutation($in: ID, $with: ID, $m: DateTime) {
  updateConversation(conversationId: $in, with: $with, mutedUntil: $m) { id } }"""
PROFILE = "mutation($s: String) { updateProfile(statusText: $s) { id } }"
CREATE = """mutation($t: String!, $ids: [ID!]!, $e: Boolean) {
  createGroup(title: $t, memberIds: $ids, showsEarlier: $e) { id } }"""
ADD = "mutation($in: ID!, $ids: [ID!]!) { addMembers(conversationId: $in, userIds: $ids) { id } }"
REMOVE = "mutation($in: ID!, $id: ID!) { removeMember(conversationId: $in, userId: $id) { id } }"
LEAVE = "mutation($in: ID!) { leaveGroup(conversationId: $in) { id } }"
RENAME = "mutation($in: ID!, $t: String) { updateGroup(conversationId: $in, title: $t) { id } }"
ROLE = """mutation($in: ID!, $id: ID!, $r: MemberRole!) {
  setRole(conversationId: $in, userId: $id, role: $r) { id } }"""


class Plan(NamedTuple):
    """What is tried, and what is known afterwards."""

    attempt: Attempt
    then: Callable[[Outcome], None]


@dataclass(slots=True)
class Person:
    """Somebody of the load: what is their own, and what they may do next."""

    id: int
    world: World
    attempts: Attempts
    reactions: set[tuple[int, str]] = field(default_factory=set)
    settings: dict[tuple[str, Place], Any] = field(default_factory=dict)
    left: set[int] = field(default_factory=set)  # messages that they touch no more
    numbers: "count[int]" = field(default_factory=lambda: count(1))
    begun: int = 0

    def next(self) -> Plan:
        """Return what to do now: of each kind once, as far as possible, then as it happens."""
        while True:
            if self.is_beginning:
                kind = _KINDS[self.begun]
                self.begun += 1
            else:
                [kind] = random.choices(_KINDS, _WEIGHTS)
            if (plan := kind(self)) is not None:
                return plan

    @property
    def is_beginning(self) -> bool:
        """Whether there are kinds that they have not come to yet."""
        return self.begun < len(_KINDS)

    def word(self, kind: str) -> str:
        """Return something that nobody else says."""
        return f"{kind} {self.id}-{next(self.numbers)}"


def _named(place: Place, person: int) -> dict[str, Any]:
    """Return how a conversation is named: by the other person, or by its id."""
    if place.pair is not None:
        return {"with": str(place.other(person)), "in": None}
    return {"with": None, "in": "1" if place.group is None else str(place.group)}


def _allowed(place: Place) -> frozenset[str]:
    return ALONE if place.group is None else IN_GROUPS


def _message(person: Person, place: Place, reply: Known | None = None) -> Plan:
    key = person.word("key")
    content = f"{key} {'é' * 10}"
    to = {"to": str(place.other(person.id))} if place.pair else {}
    if place.group is not None:
        to = {"in": str(place.group)}
    variables = {**to, "c": content, "key": key, "re": reply and str(reply.id)}

    def then(outcome: Outcome) -> None:
        if outcome.acknowledged:
            id_ = int(outcome.data["sendMessage"]["id"])
            person.world.messages.append(Known(id_, person.id, place))
            person.attempts.say(("content", id_), content, outcome)
            person.attempts.said["id", person.id, key] = id_

    mark = ("message", person.id, key)
    return Plan(Attempt(SEND, variables, mark, _allowed(place)), then)


def _send_direct(person: Person) -> Plan:
    other = random.choice(person.world.others(person.id))
    return _message(person, Place.between(person.id, other))


def _send_to_all(person: Person) -> Plan:
    return _message(person, EVERYBODY)


def _send_in_group(person: Person) -> Plan | None:
    group = pick(person.world.groups_with(person.id))
    return None if group is None else _message(person, Place(group=group.id))


def _reply(person: Person) -> Plan | None:
    known = pick(person.world.seen_by(person.id))
    return None if known is None else _message(person, known.place, known)


def _own(person: Person) -> Known | None:
    return pick(
        [
            known
            for known in person.world.seen_by(person.id)
            if known.sender == person.id and known.id not in person.world.deleted
        ]
    )


def _edit(person: Person) -> Plan | None:
    if (known := _own(person)) is None:
        return None
    content = person.word("edited")
    attempt = Attempt(
        EDIT,
        {"id": str(known.id), "c": content},
        ("message.edited", person.id, known.id),
        _allowed(known.place),
    )
    return Plan(
        attempt, lambda outcome: person.attempts.say(("content", known.id), content, outcome)
    )


def _delete(person: Person) -> Plan | None:
    known = _own(person)
    led = {
        group.id
        for group in person.world.groups_with(person.id)
        if person.id == group.founder or person.id in group.admins
    }
    if random.random() < 0.3 and led:
        seen = person.world.seen_by(person.id)
        known = pick([other for other in seen if other.place.group in led]) or known
    if known is None:
        return None
    # From now on nobody edits it in the belief that it is there.
    person.world.deleted.add(known.id)
    attempt = Attempt(
        DELETE, {"id": str(known.id)}, ("message.deleted", known.id), _allowed(known.place)
    )
    return Plan(attempt, lambda outcome: person.attempts.say(("content", known.id), "", outcome))


def _react(person: Person) -> Plan | None:
    seen = person.world.seen_by(person.id)
    known = pick([other for other in seen if other.id not in person.left])
    if known is None:
        return None
    emoji = random.choice(EMOJI)
    added = (known.id, emoji) not in person.reactions
    attempt = Attempt(
        REACT if added else UNREACT,
        {"id": str(known.id), "e": emoji},
        ("reaction.changed", person.id, known.id, emoji, added),
        # Its sender may delete a message at any time.
        _allowed(known.place) | {"CONFLICT"},
    )

    def then(outcome: Outcome) -> None:
        if outcome.acknowledged:
            (person.reactions.add if added else person.reactions.discard)((known.id, emoji))
        else:
            person.left.add(known.id)  # it was deleted, or they were removed
        person.attempts.say(("mine", person.id, known.id, emoji), added, outcome)

    return Plan(attempt, then)


def _mark_read(person: Person) -> Plan | None:
    known = pick(person.world.seen_by(person.id))
    if known is None:
        return None
    attempt = Attempt(
        READ,
        {**_named(known.place, person.id), "up": str(known.id)},
        ("read", person.id, known.place),
        _allowed(known.place),
    )

    def then(outcome: Outcome) -> None:
        if outcome.acknowledged:
            _move(person.attempts, ("read", person.id, known.place), known.id)

    return Plan(attempt, then)


def _move(attempts: Attempts, key: tuple[Any, ...], position: int) -> None:
    attempts.furthest[key] = max(position, attempts.furthest.get(key, 0))


def _mark_delivered(person: Person) -> Plan | None:
    if not person.world.messages:
        return None
    upto = person.world.messages[-1].id

    def then(outcome: Outcome) -> None:
        if outcome.acknowledged:
            _move(person.attempts, ("delivered", person.id), upto)

    return Plan(Attempt(DELIVERED, {"up": str(upto)}, ("delivered", person.id)), then)


def _set_apart(person: Person) -> Plan | None:
    known = pick(person.world.seen_by(person.id))
    if known is None:
        return None
    what = random.choice(["pinned", "mutedUntil"])
    was = person.settings.get((what, known.place))
    value = (not was) if what == "pinned" else (None if was else FAR)
    document, name = (PIN, "p") if what == "pinned" else (MUTE, "m")
    variables = {**_named(known.place, person.id), name: value}

    def then(outcome: Outcome) -> None:
        person.settings[what, known.place] = value
        person.attempts.say((what, person.id, known.place), value, outcome)

    mark = ("settings.changed", person.id, known.place)
    return Plan(Attempt(document, variables, mark), then)


def _tell(person: Person) -> Plan:
    status = person.word("status")

    def then(outcome: Outcome) -> None:
        person.attempts.say(("status", person.id), status, outcome)

    return Plan(Attempt(PROFILE, {"s": status}, ("user.changed", person.id)), then)


def _create(person: Person) -> Plan | None:
    if len(person.world.groups) >= MOST_GROUPS:
        return None
    others = person.world.others(person.id)
    # Somebody is left to be added.
    members = random.sample(others, random.randint(1, len(others) - 1))
    earlier = random.random() < 0.5
    variables = {"t": person.word("group"), "ids": [*map(str, members)], "e": earlier}

    def then(outcome: Outcome) -> None:
        if outcome.acknowledged:
            id_ = int(outcome.data["createGroup"]["id"])
            inside = {person.id, *members}
            person.world.groups[id_] = Group(id_, person.id, inside)
            person.attempts.say(("title", id_), variables["t"], outcome)

    # It has no key: asked again, it would be another group.
    return Plan(Attempt(CREATE, variables, ("created", person.id), retried=False), then)


def _add(person: Person) -> Plan | None:
    if (group := pick(person.world.founded_by(person.id))) is None:
        return None
    out = [id_ for id_ in person.world.people if id_ not in group.members | group.leaving]
    other = pick(out)
    if other is None:
        return None

    def then(outcome: Outcome) -> None:
        if outcome.acknowledged:
            group.members.add(other)

    variables = {"in": str(group.id), "ids": [str(other)]}
    return Plan(Attempt(ADD, variables, ("joined", person.id, group.id, other)), then)


def _member(person: Person) -> tuple[Group, int] | None:
    """Return somebody else in a group that the person began."""
    if (group := pick(person.world.founded_by(person.id))) is None:
        return None
    other = pick([*group.members - group.leaving - {person.id}])
    return None if other is None else (group, other)


def _remove(person: Person) -> Plan | None:
    if (found := _member(person)) is None:
        return None
    group, other = found

    def then(outcome: Outcome) -> None:
        group.members.discard(other)
        group.admins.discard(other)

    variables = {"in": str(group.id), "id": str(other)}
    mark = ("left", person.id, group.id, other)
    # They may have left by themselves, or by a try of which nothing was heard.
    return Plan(Attempt(REMOVE, variables, mark, frozenset({"NOT_FOUND"})), then)


def _leave(person: Person) -> Plan | None:
    if (group := pick(person.world.groups_with(person.id))) is None:
        return None
    if group.founder == person.id and random.random() < 0.8:
        return None
    group.leaving.add(person.id)

    def then(outcome: Outcome) -> None:
        group.members.discard(person.id)
        group.admins.discard(person.id)
        group.leaving.discard(person.id)

    mark = ("left", person.id, group.id, person.id)
    attempt = Attempt(LEAVE, {"in": str(group.id)}, mark, frozenset({"NOT_FOUND"}))
    return Plan(attempt, then)


def _rename(person: Person) -> Plan | None:
    if (group := pick(person.world.founded_by(person.id))) is None:
        return None
    title = person.word("title")
    attempt = Attempt(
        RENAME, {"in": str(group.id), "t": title}, ("conversation.changed", person.id, group.id)
    )
    return Plan(attempt, lambda outcome: person.attempts.say(("title", group.id), title, outcome))


def _set_role(person: Person) -> Plan | None:
    if (found := _member(person)) is None:
        return None
    group, other = found
    is_admin = other in group.admins
    role = "MEMBER" if is_admin else "ADMIN"

    def then(outcome: Outcome) -> None:
        if outcome.acknowledged:
            (group.admins.discard if is_admin else group.admins.add)(other)

    return Plan(
        Attempt(
            ROLE,
            {"in": str(group.id), "id": str(other), "r": role},
            ("role", person.id, group.id, other),
            frozenset({"NOT_FOUND"}),
        ),
        then,
    )


# In the order in which each is done first, and how often each is done then.
_CHANCES: dict[Callable[[Person], Plan | None], float] = {
    _create: 1,
    _send_direct: 4,
    _send_in_group: 5,
    _add: 2,
    _send_to_all: 1,
    _reply: 2,
    _edit: 3,
    _react: 4,
    _mark_read: 3,
    _mark_delivered: 2,
    _set_apart: 2,
    _tell: 1,
    _rename: 1,
    _set_role: 1,
    _delete: 1,
    _remove: 1,
    _leave: 0.5,
}
_KINDS, _WEIGHTS = [*_CHANCES], [*_CHANCES.values()]
