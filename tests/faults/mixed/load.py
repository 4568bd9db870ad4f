"""Several people who do everything that a chat allows, and follow what comes of it."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Protocol

from tests.faults.ledger import Row
from tests.faults.mixed.attempts import Attempt, Attempts, Outcome
from tests.faults.mixed.calls import UNCERTAIN, Caller
from tests.faults.mixed.follower import RETRY_SECONDS, Follower
from tests.faults.mixed.logged import TYPES, Entry, Log, StoredFact
from tests.faults.mixed.plans import FAR, Person
from tests.faults.mixed.world import World
from tests.faults.wire import Cut, Refused

PAUSE_SECONDS = 0.15
# What each load has, or it shows nothing.
KINDS = frozenset(
    [
        "message",
        "message.edited",
        "message.deleted",
        "reaction.changed",
        "read",
        "delivered",
        "settings.changed",
        "user.changed",
        "created",
        "joined",
        "left",
        "conversation.changed",
    ]
)
MINE = "{ conversations(first: 200) { nodes { id title } } }"


class Member(Protocol):
    """Somebody registered."""

    @property
    def id(self) -> int:
        """Their id."""

    @property
    def token(self) -> str:
        """A token of theirs."""


class MixedLoad:
    """All but the last of these users act; all follow, the last one as a stranger to all groups."""

    def __init__(self, ports: Sequence[int], users: Sequence[Member], live: set[Any]) -> None:
        self.attempts = Attempts()
        self._ports = ports
        self._live = live
        self._stopping = False
        self._users = users
        ids = [user.id for user in users]
        self._world = World(ids[:-1])
        self._people = [Person(id_, self._world, self.attempts) for id_ in ids[:-1]]
        self.followers = [
            Follower(user.id, user.token, ids, self._any_port, live) for user in users
        ]
        self._actors: list[asyncio.Task[None]] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def ids(self) -> set[int]:
        """Whose load this is."""
        return {user.id for user in self._users}

    async def start(self) -> None:
        """Begin."""
        for follower in self.followers:
            await follower.begin()
            self._tasks.append(asyncio.create_task(follower.listen()))
            self._tasks.append(asyncio.create_task(follower.keep()))
        for person, user in zip(self._people, self._users, strict=False):
            self._actors.append(asyncio.create_task(self._act(person, user.token)))

    async def stop(self) -> None:
        """Do nothing new; wait until all is settled."""
        self._stopping = True
        await asyncio.gather(*self._actors)

    async def settle(self, rows: Sequence[Row], facts: Sequence[StoredFact]) -> None:
        """Wait until each has kept all that they are shown; then check everything."""
        log = Log(rows, facts, [*self.ids])
        await self._catch_up(log)
        self._verify(log)
        await self._compare(log)

    async def _catch_up(self, log: Log) -> None:
        for follower in self.followers:
            shown = [entry.id for entry in log.entries if log.sees(follower.person, entry)[0]]
            while shown and follower.taken < shown[-1]:
                follower.moved.clear()
                await follower.moved.wait()

    def behind(self) -> list[tuple[int, int]]:
        """Return how far each has got: for the words of a failure."""
        return [(follower.person, follower.taken) for follower in self.followers]

    async def close(self) -> None:
        """End everybody."""
        tasks = [*self._actors, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _any_port(self) -> int:
        return random.choice(self._ports)

    # Acting.

    async def _act(self, person: Person, token: str) -> None:
        line = _Line(self._any_port, token, self._live)
        try:
            while not self._stopping or person.is_beginning:
                plan = person.next()
                outcome = await line.settle(plan.attempt)
                if not plan.attempt.retried and not outcome.acknowledged:
                    await self._look_for_group(plan.attempt, outcome, person.id)
                self.attempts.note(plan.attempt, outcome)
                plan.then(outcome)
                await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))
        finally:
            await line.close()

    async def _look_for_group(self, attempt: Attempt, outcome: Outcome, person: int) -> None:
        # As an app would: it has no key to ask again with.
        [follower] = [f for f in self.followers if f.person == person]
        nodes = (await follower.ask(MINE))["conversations"]["nodes"]
        for node in nodes:
            if node["title"] == attempt.variables["t"]:
                outcome.data = {"createGroup": node}

    # What must be true in the end.

    def _verify(self, log: Log) -> None:
        """The log has what was acknowledged, once; each heard their part of it, in order."""
        assert self.attempts.acknowledged.keys() >= KINDS, self.attempts.acknowledged
        self.attempts.verify(log.marks({*self._world.people}), _excused(log))
        self._check_marks(log)
        for follower in self.followers:
            _check_heard(follower, log)

    def _check_marks(self, log: Log) -> None:
        furthest: dict[tuple[Any, ...], int] = {}
        for fact in log.facts:
            if fact.kind != "marks.moved" or fact.actor_id not in self.ids:
                continue
            body = fact.body
            if body["conversation_id"] is None:
                key: tuple[Any, ...] = ("delivered", fact.actor_id)
                position = body["delivered_position"]
            else:
                key = ("read", fact.actor_id, log.place_of(body["conversation_id"]))
                position = body["read_position"]
            assert position > furthest.get(key, 0), f"a mark moved back: {fact}"
            furthest[key] = position
        for key, position in self.attempts.furthest.items():
            # In a group the mark of who leaves and joins again begins anew.
            if key[0] == "delivered" or key[2].group is None:
                assert furthest.get(key, 0) >= position, f"{key}: {position} was acknowledged"

    async def _compare(self, log: Log) -> None:
        """What each keeps is what queries give, and has what was acknowledged last."""
        for follower in self.followers:
            messages, conversations, users = await follower.fresh()
            mine, theirs = (
                {id_: _followed(log, follower.person, message) for id_, message in each.items()}
                for each in (follower.messages, messages)
            )
            _same("messages", follower.person, mine, theirs)
            _same("users", follower.person, follower.users, users)
            _same(
                "conversations",
                follower.person,
                {id_: _open(node) for id_, node in follower.conversations.items()},
                {id_: _open(node) for id_, node in conversations.items()},
            )
            # A message of a group that one has left may be deleted without one's hearing of it.
            kept = [id_ for id_, node in conversations.items() if node["role"] is not None]
            found = await follower.unread()
            unread = {id_: found[id_] for id_ in kept}
            counted = {id_: follower.counted_unread(id_) for id_ in kept}
            assert counted == unread, f"unread of {follower.person}: {counted}, not {unread}"
        self._check_said(log)

    def _check_said(self, log: Log) -> None:
        by_id = {follower.person: follower for follower in self.followers}
        ids = {place: str(id_) for id_, place in log.places.items()}
        for key, value in self.attempts.said.items():
            what, whose = key[0], key[1]
            if what == "content":
                found: Any = log.messages[whose].content
                value = "" if whose in log.deleted else value
            elif what == "id":
                found = log.messages[value].id
                assert log.messages[value].key == key[2]
            elif what == "status":
                found = by_id[whose].users[str(whose)]["statusText"]
            elif what == "title":
                node = by_id[log.founders[whose]].conversations[str(whose)]
                found = node["title"] if node["role"] is not None else value
            elif what == "mine":
                if (
                    key[2] in log.deleted
                    or (message := by_id[whose].messages.get(str(key[2]))) is None
                ):
                    continue
                mine = {each["emoji"] for each in message["reactions"] if each["mine"]}
                found = key[3] in mine
            else:
                place = key[2]
                id_ = str(place.group) if place.group is not None else ids[place]
                found = by_id[whose].conversations[id_][what]
                value = None if value is None else (value if what == "pinned" else FAR)
                found = found if what == "pinned" else (FAR if found else None)
            assert found == value, f"{key}: {found!r}, {value!r} was acknowledged"

    def told(self) -> str:
        """What it came to."""
        attempts = self.attempts
        done = ", ".join(f"{n} {kind}" for kind, n in sorted(attempts.acknowledged.items()))
        heard = sum(len(follower.heard) for follower in self.followers)
        return (
            f"{sum(attempts.acknowledged.values())} changes ({done}), {attempts.refused} refused,"
            f" {attempts.unheard} with an answer lost, {heard} events"
        )


def _excused(log: Log) -> Any:
    def excused(mark: tuple[Any, ...]) -> bool:
        kind = mark[0]
        # Marks that wait together are merged. Of a deleted message all reactions are gone.
        return kind in {"read", "delivered"} or (
            kind == "reaction.changed" and mark[2] in log.deleted
        )

    return excused


def _check_heard(follower: Follower, log: Log) -> None:
    assert not follower.contradictions, follower.contradictions[:3]
    by_id = {entry.id: entry for entry in log.entries}
    heard = {position for position, _, _ in follower.heard}
    assert len(heard) == len(follower.heard)
    missing: list[Entry] = []
    for entry in log.entries:
        surely, perhaps = log.sees(follower.person, entry)
        if surely and entry.id not in heard and _kind(entry) in TYPES:
            missing.append(entry)
        assert perhaps or entry.id not in heard, f"{follower.person} heard {entry}"
    assert not missing, f"{follower.person} missed {len(missing)}: {missing[:3]}"
    for position, type_, about in follower.heard:
        entry = by_id[position]
        assert type_ == TYPES[_kind(entry)], f"{position}: {type_}, not {entry}"
        assert about in {None, str(_about(entry))}, f"{position}: of {about}, not {entry}"


def _kind(entry: Entry) -> str:
    return "message" if isinstance(entry, Row) else entry.kind


def _about(entry: Entry) -> int:
    if isinstance(entry, StoredFact):
        return int(entry.body.get("message_id", entry.actor_id))
    return entry.id


def _followed(log: Log, person: int, message: dict[str, Any]) -> dict[str, Any] | None:
    """Return the message; None for one of a group in which its changes are not heard any more."""
    return message if log.follows(person, log.messages[int(message["id"])]) else None


def _open(node: dict[str, Any]) -> dict[str, Any]:
    """Return a conversation without what others may change after one has left it."""
    return node if node["role"] is not None else {**node, "title": None, "showsEarlier": None}


def _same(what: str, person: int, kept: dict[str, Any], fresh: dict[str, Any]) -> None:
    differing = [
        (kept.get(id_), fresh.get(id_))
        for id_ in kept.keys() | fresh.keys()
        if (id_ in kept, kept.get(id_)) != (id_ in fresh, fresh.get(id_))
    ]
    assert not differing, f"{what} of {person}: kept and fresh {differing[:3]}"


class _Line:
    """One connection of somebody who acts, opened again whenever it is cut."""

    def __init__(self, port: Any, token: str, live: set[Any]) -> None:
        self._port = port
        self._token = token
        self._live = live
        self._client: Caller | None = None

    async def settle(self, attempt: Attempt) -> Outcome:
        """Ask until it is answered; only once where it cannot be asked again."""
        outcome = Outcome()
        while True:
            try:
                client = await self._connected()
            except Cut:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            try:
                outcome.data = await client.call(attempt.document, attempt.variables)
                return outcome
            except Cut:
                outcome.unheard = True
                await self.close()
            except Refused as error:
                if error.code not in {UNCERTAIN, "RATE_LIMITED"}:
                    outcome.refused = error.code
                    return outcome
                outcome.unheard = outcome.unheard or error.code == UNCERTAIN
            if not attempt.retried and outcome.unheard:
                return outcome
            await asyncio.sleep(RETRY_SECONDS)

    async def close(self) -> None:
        """End."""
        if self._client is not None:
            self._live.discard(self._client)
            await self._client.close()
            self._client = None

    async def _connected(self) -> Caller:
        if self._client is None:
            client = await Caller.open(self._port(), self._token)
            assert isinstance(client, Caller)
            self._client = client
            self._live.add(client)
        return self._client
