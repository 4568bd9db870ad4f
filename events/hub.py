"""The hub: every open connection of this process, found by topic.

A connection is at the topic of its transport's class from `open` to `close`. From `enter` until
its user leaves it is at the topics of this user: the user's id, EVERYBODY and, on a wire that shows
groups, each group that the user is in. Items are delivered by topic, and the connections of a
session that ends are found by topic.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from time import monotonic
from typing import Any, Protocol, TypeVar, cast

from events.connection import Connection, Transport
from events.expiries import Expiries
from events.facts import Everybody, Fact, Placed
from events.spread import AT_ONCE, Sink, Spread

logger = logging.getLogger("parley.hub")

K = TypeVar("K")
T = TypeVar("T")
V = TypeVar("V")

SWEEP_SECONDS = 0.5
# How long an end or a renewal is remembered: longer than any caller takes from the check of a
# token to `enter`.
REMEMBERED_SECONDS = 60.0

ENDED = "Session ended"

# A user's id, a name, the class of a transport, or a conversation.
Topic = int | str | type | tuple[str, int]
EVERYBODY = "everybody"
CONVERSATION = "conversation"


class AlreadyEnded(Exception):
    """The session ended after its token was checked, and before its user was let in."""


class Step(Protocol):
    """Counts the connections of users; the hub calls it for each user who enters or leaves."""

    def enter(self, user_id: int) -> None:
        """Count one more connection of the user. Raises the error that refuses the user."""

    def leave(self, user_id: int) -> None:
        """Count the connection off again."""


class Hub:
    """The open connections of this process, and their users.

    Each user who enters passes the `steps` in order. Sessions end by `end`, and tokens by the
    clock, with a warning `warning_seconds` before.
    """

    def __init__(self, *, warning_seconds: float, steps: Sequence[Step] = ()) -> None:
        self.steps = steps
        self._table: dict[Topic, set[Connection]] = {}
        self._expiries = Expiries(warning_seconds=warning_seconds)
        self._spread: Spread[Any] = Spread()
        self._ended: dict[tuple[int, int | None], float] = {}
        self._renewed: dict[tuple[int, int | None], tuple[float, float]] = {}  # when, and to when
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to look for tokens that end."""
        self._sweeper = asyncio.create_task(self._sweep_regularly(), name="hub")

    async def close(self) -> None:
        """Stop, and drop every delivery that is under way."""
        self._spread.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None

    # Connections.

    def open(self, transport: Transport) -> Connection:
        """Return a connection for a new socket; the transport calls its `close` at the end."""
        connection = Connection(self, transport)
        self._table.setdefault(type(transport), set()).add(connection)
        return connection

    def stream(
        self,
        user_id: int,
        session_id: int | None,
        *,
        checked_at: float,
        groups: Iterable[int] | None = None,
    ) -> Connection:
        """Return a connection for one request of the user whose answer is a stream.

        It passes no steps: presence and limits do not count requests. It ends with its last sink,
        or with the session, which interrupts its sinks. Raises AlreadyEnded.
        """
        if self.has_ended(user_id, session_id, since=checked_at):
            raise AlreadyEnded
        connection = Connection(self, None)
        connection.session_id = session_id
        self._put_in(connection, user_id, groups)
        return connection

    def transports(self, kind: type[T]) -> list[T]:
        """Return the open transports of one kind, those without a user too."""
        found = self._table.get(kind, ())
        return [cast("T", connection.transport) for connection in found]

    def count(self, kind: type) -> tuple[int, int]:
        """Return how many transports of one kind are open, and how many of them have a user."""
        found = self._table.get(kind, ())
        return len(found), sum(connection.user_id is not None for connection in found)

    def entered(self) -> list[Connection]:
        """Return the connections that have a user."""
        return [*self._table.get(EVERYBODY, ())]

    def enter(
        self,
        connection: Connection,
        *,
        user_id: int,
        session_id: int | None,
        expires_at: float | None,
        checked_at: float,
        groups: Iterable[int] | None = None,
    ) -> None:
        """Make this the connection's user, whose token was good at `checked_at` (`monotonic()`).

        `groups` are those that the user is in, as of what the feed has handed out; None for a wire
        that shows no groups. Another user of the connection leaves; the same user stays, in this
        session. Raises AlreadyEnded, or the error of a step: the steps before it are undone then,
        and the connection is as it was. Does nothing on one that has been closed meanwhile.
        """
        if connection.closed:
            return
        if self.has_ended(user_id, session_id, since=checked_at):
            raise AlreadyEnded
        if connection.user_id != user_id:
            self._pass_steps(user_id)
            self.put_out(connection)
            self._put_in(connection, user_id, groups)
        renewed_at, renewed_to = self._renewed.get((user_id, session_id), (-1.0, 0.0))
        if renewed_at >= checked_at:
            expires_at = renewed_to
        self.renew_one(connection, expires_at, session_id)

    def put_out(self, connection: Connection) -> None:
        """Have the connection's user leave it: nothing more is delivered to them."""
        user_id = connection.user_id
        if user_id is None:
            return
        for sink in connection.sinks:
            self._spread.leave_out(sink)
        connection.sinks = connection.fact_sinks = ()
        connection.user_id = connection.expires_at = None
        topics, connection.topics = connection.topics, ()
        for topic in topics:
            self._remove(connection, topic)
        if connection.transport is not None:
            for step in reversed(self.steps):
                step.leave(user_id)
        self._expiries.trim(len(self._table.get(EVERYBODY, ())))

    def close_one(self, connection: Connection) -> None:
        """Have the user leave the connection for good."""
        connection.closed = True
        self.put_out(connection)
        if connection.transport is not None:
            self._remove(connection, type(connection.transport))

    def _pass_steps(self, user_id: int) -> None:
        passed: list[Step] = []
        try:
            for step in self.steps:
                step.enter(user_id)
                passed.append(step)
        except BaseException:
            for step in reversed(passed):
                step.leave(user_id)
            raise

    def _put_in(self, connection: Connection, user_id: int, groups: Iterable[int] | None) -> None:
        connection.user_id = user_id
        connection.shows_groups = groups is not None
        for topic in (user_id, EVERYBODY):
            self.join(connection, topic)
        if groups:
            self._join_groups(connection, groups)

    def _join_groups(self, connection: Connection, groups: Iterable[int]) -> None:
        topics = [(CONVERSATION, id_) for id_ in groups]
        for topic in topics:
            self._table.setdefault(topic, set()).add(connection)
        connection.topics = (*connection.topics, *topics)

    # Sessions.

    def has_ended(self, user_id: int, session_id: int | None, *, since: float) -> bool:
        """Whether the session ended since then; with None, the user's tokens without a session."""
        return self._ended.get((user_id, session_id), -1.0) >= since

    def end(self, user_id: int, session_id: int | None) -> None:
        """End the session's connections; with None, those of tokens without a session."""
        _set_last(self._ended, (user_id, session_id), monotonic())
        for connection in self._of_session(user_id, session_id):
            connection.end(ENDED)

    def renew(self, user_id: int, session_id: int, expires_at: float) -> None:
        """Let the session's connections last until then, and those whose users are entering."""
        _set_last(self._renewed, (user_id, session_id), (monotonic(), expires_at))
        for connection in self._of_session(user_id, session_id):
            self.renew_one(connection, expires_at, session_id)

    def renew_one(
        self, connection: Connection, expires_at: float | None, session_id: int | None
    ) -> None:
        """Let one connection last until then, as one of this session."""
        connection.session_id = session_id
        connection.expires_at = expires_at
        if connection.transport is not None:
            self._expiries.add(connection)

    def _of_session(self, user_id: int, session_id: int | None) -> list[Connection]:
        found = self._table.get(user_id, ())
        return [connection for connection in found if connection.session_id == session_id]

    def sweep(self) -> None:
        """Warn the users whose tokens end soon, and put out those whose tokens have ended."""
        self._expiries.sweep()
        oldest = monotonic() - REMEMBERED_SECONDS
        while self._ended and next(iter(self._ended.values())) <= oldest:
            del self._ended[next(iter(self._ended))]
        while self._renewed and next(iter(self._renewed.values()))[0] <= oldest:
            del self._renewed[next(iter(self._renewed))]

    async def _sweep_regularly(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep()

    # Topics.

    def join(self, connection: Connection, topic: Topic) -> None:
        """Deliver the topic's items to the connection from now on."""
        self._table.setdefault(topic, set()).add(connection)
        connection.topics = (*connection.topics, topic)

    def quit(self, connection: Connection, topic: Topic) -> None:
        """Deliver the topic's items to the connection no more."""
        connection.topics = tuple(other for other in connection.topics if other != topic)
        self._remove(connection, topic)

    def join_group(self, user_id: int, topic: Topic) -> None:
        """Deliver a group's items to all connections of a user that show groups."""
        for connection in [*self._table.get(user_id, ())]:
            if connection.shows_groups and connection not in self._table.get(topic, ()):
                self.join(connection, topic)

    def quit_group(self, user_id: int, topic: Topic) -> None:
        """Deliver a group's items to the user's connections no more."""
        for connection in [*self._table.get(user_id, ())]:
            if connection in self._table.get(topic, ()):
                self.quit(connection, topic)

    def has_user(self, user_id: int) -> bool:
        """Whether the user has a connection."""
        return user_id in self._table

    def users_with_groups(self) -> set[int]:
        """Return the users who have a connection that shows groups."""
        found = self._table.get(EVERYBODY, ())
        return {c.user_id for c in found if c.shows_groups and c.user_id is not None}

    def set_groups(self, user_id: int, groups: Collection[int]) -> None:
        """Have the user's connections that show groups be at these ones, and at no others."""
        for connection in [*self._table.get(user_id, ())]:
            if connection.shows_groups:
                for topic in connection.topics:
                    if isinstance(topic, tuple):
                        self._remove(connection, topic)
                connection.topics = tuple(
                    topic for topic in connection.topics if not isinstance(topic, tuple)
                )
                self._join_groups(connection, groups)

    def _remove(self, connection: Connection, topic: Topic) -> None:
        found = self._table.get(topic)
        if found is not None:
            found.discard(connection)
            if not found:
                del self._table[topic]

    def sinks_at(self, topic: Topic) -> list[Sink[Any]]:
        """Return the sinks to which this topic's items are delivered."""
        found = self._table.get(topic, ())
        return [sink for connection in found for sink in connection.sinks]

    def users_at(self, topic: Topic) -> set[int]:
        """Return the users who have a connection at this topic."""
        found = self._table.get(topic, ())
        return {connection.user_id for connection in found if connection.user_id is not None}

    # Delivery.

    def deliver(self, item: Placed, size: int, topics: Iterable[Topic]) -> None:
        """Deliver an item of about `size` bytes to the topics' sinks, now and in order.

        No connection is at two of the topics.
        """
        table = self._table
        sinks: list[Sink[Any]] = []
        for topic in topics:
            for connection in table.get(topic, ()):
                sinks += connection.sinks
        self._spread.deliver(item, size, sinks)

    def publish(self, item: Placed, size: int, topic: Topic, sender_id: int) -> None:
        """Deliver an item to a topic, to the sender first; to many sinks as `broadcast` does."""
        sinks = self.sinks_at(topic)
        own = self.sinks_at(sender_id) if len(sinks) > AT_ONCE else ()
        self._spread.send(item, size, sinks, now=own)

    def broadcast(
        self, item: Placed, size: int, sender_id: int, *, apart: Collection[int] = ()
    ) -> None:
        """Deliver an item to everybody except the users `apart`, to its sender first.

        To many sinks it is delivered in the loop's next turns; each sink gets items in order.
        """
        if apart:
            found = self._table.get(EVERYBODY, ())
            sinks = [s for other in found if other.user_id not in apart for s in other.sinks]
        else:
            sinks = self.sinks_at(EVERYBODY)
        self._spread.send(item, size, sinks, now=self.sinks_at(sender_id))

    def deliver_fact(
        self,
        fact: Fact,
        size: int,
        topics: Iterable[Topic],
        *,
        shown: Callable[[int], object] | None = None,
    ) -> None:
        """Deliver a fact, once, to those sinks of the topics that want facts, in order.

        `shown` says to which of the users.
        """
        found = {c: None for topic in topics for c in self._table.get(topic, ()) if c.fact_sinks}
        if shown is not None:
            found = {c: None for c in found if c.user_id is not None and shown(c.user_id)}
        sinks = [sink for connection in found for sink in connection.fact_sinks]
        send = self._spread.deliver if len(sinks) <= AT_ONCE else self._spread.send
        send(fact, size, sinks)

    def broadcast_fact(self, fact: Fact, size: int, to: Everybody) -> None:
        """Deliver a fact to everybody's sinks that want facts; each sink gets items in order."""
        apart, sender_id, about = to.apart, to.sender_id, to.message_id
        knows = to.if_knows
        sinks = [
            sink
            for other in self._table.get(EVERYBODY, ())
            if other.fact_sinks
            and other.user_id not in apart
            and (about is None or about > other.facts_past or other.user_id == sender_id)
            and (knows is None or other.user_id is None or knows(other.user_id))
            for sink in other.fact_sinks
        ]
        self._spread.send(fact, size, sinks)

    def leave_out(self, sink: Sink[Any]) -> None:
        """Drop the items that are under way to a sink."""
        self._spread.leave_out(sink)

    def interrupt(self) -> None:
        """Drop all items that are under way, and have every subscriber resume."""
        self._spread.drop()
        for sink in self.sinks_at(EVERYBODY):
            try:
                sink.interrupt()
            except Exception:
                logger.exception("A subscriber could not be interrupted")


def _set_last(entries: dict[K, V], key: K, value: V) -> None:
    """Set the entry and make it the last, so that the first entry is always the oldest."""
    entries.pop(key, None)
    entries[key] = value
