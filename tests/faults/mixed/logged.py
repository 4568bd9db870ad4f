"""The log as the database has it, and who may see what of it: written once more, for the tests.

Nothing here asks Parley. Who is in a group follows from the facts that people joined and left.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from tests.faults.ledger import EVERYBODYS_ID, Row
from tests.faults.mixed.world import EVERYBODY, Place

TYPES = {
    "message": "MessageSent",
    "message.edited": "MessageEdited",
    "message.deleted": "MessageDeleted",
    "reaction.changed": "ReactionChanged",
    "marks.moved": "MarksMoved",
    "conversation.changed": "ConversationChanged",
    "members.changed": "MembersChanged",
    "user.changed": "UserChanged",
    "settings.changed": "SettingsChanged",
}


class StoredFact(NamedTuple):
    """A row of the log's table."""

    id: int
    kind: str
    actor_id: int
    body: dict[str, Any]
    audience: dict[str, Any]


class Stay(NamedTuple):
    """What somebody sees of a group, from a position of the log on."""

    since: int
    sees_after: int
    left: int | None

    def shows(self, position: int) -> bool:
        """Whether they see the message at this position."""
        return self.sees_after < position and (self.left is None or position < self.left)

    def shows_fact(self, position: int) -> bool:
        """Whether they see the fact at this position, which is about no message."""
        return self.sees_after <= position and (self.left is None or position <= self.left)


Entry = Row | StoredFact
NOWHERE = Stay(0, sys.maxsize, 0)


class Log:
    """The whole log, in order."""

    def __init__(
        self,
        messages: Iterable[Row],
        facts: Iterable[StoredFact],
        people: Sequence[int] = (),
    ) -> None:
        self._people = {*people}  # who follow
        self.messages = {message.id: message for message in messages}
        self.facts = [*facts]
        self.entries: list[Entry] = sorted(
            [*self.messages.values(), *self.facts], key=lambda entry: entry.id
        )
        self.deleted = {m.id for m in self.messages.values() if m.is_deleted}
        self.places = {
            m.conversation_id: Place.between(m.sender_id, m.receiver_id)
            for m in self.messages.values()
            if m.receiver_id is not None
        }
        self.places[EVERYBODYS_ID] = EVERYBODY
        self.founders: dict[int, int] = {}
        self._stays: dict[tuple[int, int], list[Stay]] = {}
        for fact in self.facts:
            if fact.kind == "members.changed":
                self._change_members(fact)

    def _change_members(self, fact: StoredFact) -> None:
        body = fact.body
        self.founders.setdefault(body["conversation_id"], fact.actor_id)
        for user in body.get("joined", ()):
            stays = self._stays.setdefault((body["conversation_id"], user), [])
            assert not stays or stays[-1].left is not None, f"joined twice: {fact}"
            stays.append(Stay(fact.id, 0 if body["shows_earlier"] else fact.id, None))
        for user in body.get("left", ()):
            stays = self._stays[body["conversation_id"], user]
            assert stays[-1].left is None, f"left twice: {fact}"
            stays.append(Stay(fact.id, stays[-1].sees_after, fact.id))

    def place_of(self, conversation_id: int) -> Place:
        """Return where this is."""
        return self.places.get(conversation_id, Place(group=conversation_id))

    def marks(self, people: set[int]) -> Iterator[tuple[Any, ...]]:
        """Yield what each entry by these people is known by, as their attempts are."""
        founded: set[int] = set()
        for entry in self.entries:
            if isinstance(entry, Row):
                if entry.sender_id in people:
                    yield "message", entry.sender_id, entry.key
            elif entry.actor_id in people:
                yield from _marks_of(self, entry, founded)

    def sees(self, user: int, entry: Entry) -> tuple[bool, bool]:
        """Whether a user is shown an entry for sure, and whether they may be.

        Who joins again, or joins where newcomers see what was before, is shown another part of
        the group after that: what they see depends on when it is read.
        """
        about = entry
        if isinstance(entry, StoredFact):
            if "message_id" in entry.body:
                about = self.messages[entry.body["message_id"]]
            else:
                return self._sees_fact(user, entry)
        assert isinstance(about, Row)
        place = self.place_of(about.conversation_id)
        if place.group is None:
            shown = place.pair is None or user in place.pair
            return shown, shown
        if about is entry and about.sender_id == user:
            return True, True
        shows = [
            stay.shows(about.id) and (about is entry or stay.shows_fact(entry.id))
            for stay in self._from(place.group, user, entry.id)
        ]
        return bool(shows) and all(shows), any(shows)

    def follows(self, user: int, message: Row) -> bool:
        """Whether a user hears what becomes of a message that they see."""
        place = self.place_of(message.conversation_id)
        if place.group is None:
            return True
        stays = self._stays.get((place.group, user), [])
        return bool(stays) and stays[-1].left is None and stays[-1].shows(message.id)

    def _sees_fact(self, user: int, fact: StoredFact) -> tuple[bool, bool]:
        place = self._place_of_fact(fact)
        if place is None or place.group is None:
            shown = user in self._people_of(fact, place)
            return shown, shown
        shows = [stay.shows_fact(fact.id) for stay in self._from(place.group, user, fact.id)]
        return bool(shows) and all(shows), any(shows)

    def _place_of_fact(self, fact: StoredFact) -> Place | None:
        if fact.kind in {"settings.changed", "user.changed"} or "conversation_id" not in fact.body:
            return None
        id_ = fact.body["conversation_id"]
        return None if id_ is None else self.place_of(id_)

    def _people_of(self, fact: StoredFact, place: Place | None) -> set[int]:
        """Return who is shown a fact that is about no group."""
        told = {*fact.audience.get("ids", ())}
        if fact.kind == "user.changed":
            assert fact.audience == {"type": "members", "conversation_id": EVERYBODYS_ID}, fact
            return self._people
        if fact.kind == "settings.changed" or place == EVERYBODY:
            assert told == {fact.actor_id}, fact
        elif place is not None:
            assert told == {*(place.pair or ())}, fact
        elif fact.kind == "marks.moved":
            # Of what was delivered: who has exchanged direct messages with them, and who wrote it
            # in a group.
            peers = [p.pair for p in self.places.values() if p.pair and fact.actor_id in p.pair]
            assert told <= {fact.actor_id, *self._wrote_to(fact)}.union(*peers), fact
            assert fact.actor_id in told, fact
        return told

    def _wrote_to(self, fact: StoredFact) -> Iterator[int]:
        """Yield who has written in a group of the actor's what this mark says was delivered."""
        for message in self.messages.values():
            group = self.place_of(message.conversation_id).group
            if group is not None and message.id <= fact.body["delivered_position"]:
                stay = next(self._from(group, fact.actor_id, fact.id))
                if stay.left is None and stay.shows(message.id):
                    yield message.sender_id

    def _from(self, group: int, user: int, position: int) -> Iterator[Stay]:
        """Yield what they see of a group, as it is at a position, and as it comes to be later."""
        stays = self._stays.get((group, user), [])
        before = [stay for stay in stays if stay.since <= position]
        yield before[-1] if before else NOWHERE
        yield from (stay for stay in stays if stay.since > position)


def _marks_of(log: Log, fact: StoredFact, founded: set[int]) -> Iterator[tuple[Any, ...]]:
    body, actor = fact.body, fact.actor_id
    match fact.kind:
        case "message.edited":
            yield "message.edited", actor, body["message_id"]
        case "message.deleted":
            yield "message.deleted", body["message_id"]
        case "reaction.changed":
            yield "reaction.changed", actor, body["message_id"], body["emoji"], body["added"]
        case "marks.moved" if body.get("conversation_id") is None:
            yield "delivered", actor
        case "marks.moved":
            yield "read", actor, log.place_of(body["conversation_id"])
        case "settings.changed":
            yield "settings.changed", actor, log.place_of(body["conversation_id"])
        case "user.changed":
            yield "user.changed", actor
        case "conversation.changed":
            yield "conversation.changed", actor, body["conversation_id"]
        case "members.changed":
            yield from _marks_of_members(fact, founded)


def _marks_of_members(fact: StoredFact, founded: set[int]) -> Iterator[tuple[Any, ...]]:
    body, actor, group = fact.body, fact.actor_id, fact.body["conversation_id"]
    if group not in founded:
        founded.add(group)
        yield "created", actor
        return
    for user in body.get("joined", ()):
        yield "joined", actor, group, user
    for user in body.get("left", ()):
        yield "left", actor, group, user
    if not body.get("left"):  # else somebody came to own the group by that
        for user in body.get("changed", ()):
            yield "role", actor, group, user
