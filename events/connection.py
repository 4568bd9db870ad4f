"""One open socket of any wire: its user, how long they may stay, and its sinks."""

import logging
from typing import TYPE_CHECKING, Any, Protocol

from events.spread import Sink

if TYPE_CHECKING:
    from events.hub import Hub

logger = logging.getLogger("parley.hub")


class Transport(Protocol):
    """The wire under a connection. Neither call may block."""

    def session_ended(self, reason: str) -> None:
        """Tell the client why, then close. The user has left the connection already."""

    def token_expiring(self, expires_at: float) -> None:
        """Tell the client that the token, and so the connection, ends then (Unix seconds)."""


class Connection:
    """An open socket, or one request whose answer is a stream: then it has no transport.

    The hub makes it (`Hub.open`, `Hub.stream`) and gives it a user (`Hub.enter`). `user_id` is None
    before, and after the user has left. It is kept small, for there are many idle connections.
    """

    __slots__ = (
        "_hub",
        "closed",
        "due",
        "expires_at",
        "fact_sinks",
        "facts_past",
        "session_id",
        "shows_groups",
        "sinks",
        "topics",
        "transport",
        "user_id",
        "warned",
    )

    def __init__(self, hub: "Hub", transport: Transport | None) -> None:
        self._hub = hub
        self.transport = transport
        self.closed = False
        self.user_id: int | None = None
        self.session_id: int | None = None
        self.expires_at: float | None = None
        self.topics: tuple[int | str | type | tuple[str, int], ...] = ()
        self.shows_groups = False
        # Replaced, never changed in place: a delivery may be iterating over it.
        self.sinks: tuple[Sink[Any], ...] = ()
        # Those of them that want facts too; of facts about broadcasts those past a position.
        self.fact_sinks: tuple[Sink[Any], ...] = ()
        self.facts_past = 0
        # When the expiries look at it next; 0 while it is not in their heap.
        self.due = 0.0
        self.warned = False  # of the end at `expires_at`

    def __lt__(self, other: "Connection") -> bool:
        return self.due < other.due

    def attach(self, sink: Sink[Any], *, facts_past: int | None = None) -> None:
        """Deliver to the sink the items of this connection's topics from now on.

        They are messages; with `facts_past` facts too. To this user, only broadcasts past that
        position are shown: facts about earlier ones are not delivered.
        """
        self.sinks = (*self.sinks, sink)
        if facts_past is not None:
            self.facts_past = facts_past
            self.fact_sinks = (*self.fact_sinks, sink)

    def detach(self, sink: Sink[Any]) -> None:
        """Deliver nothing more to the sink. A stream is over once it has none."""
        self.sinks = tuple(other for other in self.sinks if other is not sink)
        if self.fact_sinks:
            self.fact_sinks = tuple(other for other in self.fact_sinks if other is not sink)
        self._hub.leave_out(sink)
        if self.transport is None and not self.sinks:
            self.close()

    def renew(self, expires_at: float | None, *, session_id: int | None) -> None:
        """Let the connection last until then, as one of this session."""
        if self.user_id is not None:
            self._hub.renew_one(self, expires_at, session_id)

    def close(self) -> None:
        """Have the user leave for good. May be called again."""
        self._hub.close_one(self)
        # The transport refers to the connection: free both without the garbage collector.
        self.transport = None

    def end(self, reason: str) -> None:
        """Have the user leave, then have the transport tell why and close."""
        transport, sinks = self.transport, self.sinks
        self._hub.put_out(self)
        if transport is None:
            for sink in sinks:
                sink.interrupt()  # its reader resumes, and is refused then
            return
        try:
            transport.session_ended(reason)
        except Exception:
            logger.exception("A connection could not be ended")

    def warn(self) -> None:
        """Have the transport tell that the token ends soon; once for each end."""
        self.warned = True
        if self.transport is not None and self.expires_at is not None:
            try:
                self.transport.token_expiring(self.expires_at)
            except Exception:
                logger.exception("A connection could not be warned")
