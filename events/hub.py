"""The hub: every open connection of this process, found by topic.

A connection is at the topic of its transport's class from `open` to `close`. From `enter` until
its user leaves it is at the topics of this user: the user's id, and EVERYBODY. Items are delivered
by topic, and the connections of a session that ends are found by topic.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from time import monotonic
from typing import Any, Protocol, TypeVar, cast

from events.connection import Connection, Transport
from events.expiries import Expiries
from events.facts import Placed
from events.spread import Sink, Spread

logger = logging.getLogger("parley.hub")

T = TypeVar("T")

SWEEP_SECONDS = 0.5
# How long an end or a renewal is remembered: longer than anybody can take from the check of a
# token to `enter`.
REMEMBERED_SECONDS = 60.0

ENDED = "Session ended"

# A user's id, a name, or the class of a transport.
Topic = int | str | type
EVERYBODY = "everybody"


class AlreadyEnded(Exception):
    """The session ended after its token was checked, and before it was let in."""


class Step(Protocol):
    """What everybody passes on the way in, and gives back on the way out."""

    def enter(self, user_id: int) -> None:
        """Take in one more connection of the user's. Raises what the caller is refused with."""

    def leave(self, user_id: int) -> None:
        """Give back what `enter` took."""


class Hub:
    """Who is connected here.

    `steps` are passed in order by everybody who enters. Sessions end by `end`, tokens by the
    clock, with a warning so many seconds before.
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
        """Begin to look after the ends of tokens."""
        self._sweeper = asyncio.create_task(self._sweep_regularly(), name="hub")

    async def close(self) -> None:
        """End that, and every delivery that is under way."""
        self._spread.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None

    # Connections.

    def open(self, transport: Transport) -> Connection:
        """Return the connection of a socket that nobody has entered on yet.

        The transport calls its `close` at the end.
        """
        connection = Connection(self, transport)
        self._table.setdefault(type(transport), set()).add(connection)
        return connection

    def stream(self, user_id: int, session_id: int | None, *, checked_at: float) -> Connection:
        """Return a connection for one request of the user's, whose answer goes on.

        It passes no steps: for presence and the limits a request is no connection. It ends with
        its last sink, or with the session: then its sinks are interrupted. Raises AlreadyEnded.
        """
        if self.has_ended(user_id, session_id, since=checked_at):
            raise AlreadyEnded
        connection = Connection(self, None)
        connection.session_id = session_id
        self._put_in(connection, user_id)
        return connection

    def transports(self, kind: type[T]) -> list[T]:
        """Return the open transports of one kind, whether or not somebody has entered."""
        found = self._table.get(kind, ())
        return [cast("T", connection.transport) for connection in found]

    def enter(
        self,
        connection: Connection,
        *,
        user_id: int,
        session_id: int | None,
        expires_at: float | None,
        checked_at: float,
    ) -> None:
        """Let the user in on a connection, whose token was found sound at `checked_at`.

        That is of `monotonic()`. Whoever is on the connection as another user leaves; the same
        user stays, and goes on in this session. Raises AlreadyEnded, or what one of the steps
        raises: then the steps before that one are undone and the connection is as it was. Lets
        nobody in on a connection that has been closed meanwhile.
        """
        if connection.closed:
            return
        if self.has_ended(user_id, session_id, since=checked_at):
            raise AlreadyEnded
        if connection.user_id != user_id:
            self._pass_steps(user_id)
            self.put_out(connection)
            self._put_in(connection, user_id)
        renewed_at, renewed_to = self._renewed.get((user_id, session_id), (-1.0, 0.0))
        if renewed_at >= checked_at:
            expires_at = renewed_to
        self.renew_one(connection, expires_at, session_id)

    def put_out(self, connection: Connection) -> None:
        """End what whoever is on the connection has here: they hear nothing more."""
        user_id = connection.user_id
        if user_id is None:
            return
        for sink in connection.sinks:
            self._spread.leave_out(sink)
        connection.sinks = ()
        connection.user_id = connection.expires_at = None
        topics, connection.topics = connection.topics, ()
        for topic in topics:
            self._remove(connection, topic)
        if connection.transport is not None:
            for step in reversed(self.steps):
                step.leave(user_id)
        self._expiries.trim(len(self._table.get(EVERYBODY, ())))

    def close_one(self, connection: Connection) -> None:
        """Put out whoever is on the connection, and let nobody in any more."""
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

    def _put_in(self, connection: Connection, user_id: int) -> None:
        connection.user_id = user_id
        for topic in (user_id, EVERYBODY):
            self.join(connection, topic)

    # Sessions.

    def has_ended(self, user_id: int, session_id: int | None, *, since: float) -> bool:
        """Whether the session, or with None the user's older tokens, ended since then."""
        return self._ended.get((user_id, session_id), -1.0) >= since

    def end(self, user_id: int, session_id: int | None) -> None:
        """End the session's connections; with None those of the user's older tokens."""
        key = (user_id, session_id)
        self._ended.pop(key, None)  # so that it is the last again: the first are the oldest
        self._ended[key] = monotonic()
        for connection in self._of_session(user_id, session_id):
            connection.end(ENDED)

    def renew(self, user_id: int, session_id: int, expires_at: float) -> None:
        """Let the session's connections go on until then, also those that are being let in."""
        key = (user_id, session_id)
        self._renewed.pop(key, None)  # as for `end`
        self._renewed[key] = (monotonic(), expires_at)
        for connection in self._of_session(user_id, session_id):
            self.renew_one(connection, expires_at, session_id)

    def renew_one(
        self, connection: Connection, expires_at: float | None, session_id: int | None
    ) -> None:
        """Let one connection go on until then, as one of this session."""
        connection.session_id = session_id
        connection.expires_at = expires_at
        if connection.transport is not None:
            self._expiries.add(connection)

    def _of_session(self, user_id: int, session_id: int | None) -> list[Connection]:
        found = self._table.get(user_id, ())
        return [connection for connection in found if connection.session_id == session_id]

    def sweep(self) -> None:
        """Warn whoever's token ends soon; put out those whose token has ended."""
        self._expiries.sweep()
        oldest = monotonic() - REMEMBERED_SECONDS
        for key in [*self._ended]:
            if self._ended[key] > oldest:
                break
            del self._ended[key]
        for key in [*self._renewed]:
            if self._renewed[key][0] > oldest:
                break
            del self._renewed[key]

    async def _sweep_regularly(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep()

    # Topics.

    def join(self, connection: Connection, topic: Topic) -> None:
        """Have whatever is for the topic reach the connection."""
        self._table.setdefault(topic, set()).add(connection)
        connection.topics = (*connection.topics, topic)

    def quit(self, connection: Connection, topic: Topic) -> None:
        """Have it reach the connection no more."""
        connection.topics = tuple(other for other in connection.topics if other != topic)
        self._remove(connection, topic)

    def _remove(self, connection: Connection, topic: Topic) -> None:
        found = self._table.get(topic)
        if found is not None:
            found.discard(connection)
            if not found:
                del self._table[topic]

    def sinks_at(self, topic: Topic) -> list[Sink[Any]]:
        """Return whom an item for this topic is delivered to."""
        found = self._table.get(topic, ())
        return [sink for connection in found for sink in connection.sinks]

    # Delivery.

    def deliver(self, item: Placed, size: int, topics: Iterable[Topic]) -> None:
        """Hand an item of about `size` bytes to the topics' sinks, now and in order.

        No connection is at two of the topics.
        """
        table = self._table
        sinks = [s for topic in topics for other in table.get(topic, ()) for s in other.sinks]
        self._spread.deliver(item, size, sinks)

    def broadcast(
        self, item: Placed, size: int, sender_id: int, *, apart: Collection[int] = ()
    ) -> None:
        """Hand an item to everybody but those apart, to its sender first.

        Where they are many that is done in the loop's next turns; each gets items in order.
        """
        if apart:
            found = self._table.get(EVERYBODY, ())
            sinks = [s for other in found if other.user_id not in apart for s in other.sinks]
        else:
            sinks = self.sinks_at(EVERYBODY)
        self._spread.send(item, size, sinks, now=self.sinks_at(sender_id))

    def leave_out(self, sink: Sink[Any]) -> None:
        """Hand a sink nothing of what is under way to it."""
        self._spread.leave_out(sink)

    def interrupt(self) -> None:
        """Drop what is under way, and have every subscriber resume."""
        self._spread.drop()
        for sink in self.sinks_at(EVERYBODY):
            try:
                sink.interrupt()
            except Exception:
                logger.exception("A subscriber could not be interrupted")
