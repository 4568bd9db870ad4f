"""The open connections of this process, and whose they are: each is ended with its session.

One sweep looks after the ends of all tokens: an idle connection costs no timer and no task.
"""

import asyncio
import heapq
import logging
import time
from collections import defaultdict
from time import monotonic
from typing import Protocol

logger = logging.getLogger("parley.connections")

SWEEP_SECONDS = 0.5
# How long an end or a renewal is remembered: longer than anybody can take from the check of a token
# to `hold`.
REMEMBERED_SECONDS = 60.0
# Entries of connections that are gone stay in the heap until there are so many more than others.
MAX_IDLE_ENTRIES = 1000

ENDED = "Session ended"
EXPIRED = "Token expired"


class Connection(Protocol):
    """Somebody's, until they leave. Neither call may block."""

    def session_ended(self, reason: str) -> None:
        """Say why, then close; called once at most."""

    def token_expiring(self, expires_at: float) -> None:
        """Say that the token ends then (seconds since 1970), and with it the connection."""


class Held:
    """A connection that is looked after until `leave`."""

    __slots__ = (
        "_connection",
        "_connections",
        "_due",
        "_warned",
        "expires_at",
        "session_id",
        "user_id",
    )

    def __init__(
        self,
        connections: "Connections",
        connection: Connection,
        user_id: int,
        session_id: int | None,
        expires_at: float | None,
    ) -> None:
        self._connections = connections
        self._connection: Connection | None = connection
        self._due = 0.0
        self._warned = False
        self.user_id = user_id
        self.session_id = session_id
        self.expires_at = expires_at

    def __lt__(self, other: "Held") -> bool:
        return self._due < other._due

    def leave(self) -> None:
        """Look after the connection no more."""
        if self._connection is not None:
            self._connection = None
            self._connections._leave(self)

    def renew(self, expires_at: float | None, *, session_id: int | None) -> None:
        """Let the connection go on until then, as of this session."""
        self.session_id = session_id
        self.expires_at = expires_at
        self._warned = False
        self._connections._schedule(self)

    def _end(self, reason: str) -> None:
        connection = self._connection
        self.leave()
        if connection is not None:
            try:
                connection.session_ended(reason)
            except Exception:
                logger.exception("A connection could not be ended")

    def _warn(self) -> None:
        self._warned = True
        if self._connection is not None and self.expires_at is not None:
            try:
                self._connection.token_expiring(self.expires_at)
            except Exception:
                logger.exception("A connection could not be warned")


class Connections:
    """Who is connected here. A user's sessions end by `end`, their tokens by the clock.

    Clocks jump: the end of a token is compared with the time of day at each sweep.
    """

    def __init__(self, *, warning_seconds: float) -> None:
        self._warning_seconds = warning_seconds
        self._held: defaultdict[int, set[Held]] = defaultdict(set)
        self._count = 0
        self._due: list[Held] = []  # a heap; those that are gone are left in it for a while
        self._ended: dict[tuple[int, int | None], float] = {}
        self._renewed: dict[tuple[int, int | None], tuple[float, float]] = {}  # when, and to when
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to sweep."""
        self._sweeper = asyncio.create_task(self._sweep_regularly(), name="connections")

    async def close(self) -> None:
        """End the sweeping."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None

    def hold(
        self,
        connection: Connection,
        *,
        user_id: int,
        session_id: int | None,
        expires_at: float | None,
        checked_at: float,
    ) -> Held:
        """Look after a connection whose token was found sound at `checked_at` (monotonic)."""
        renewed_at, renewed_to = self._renewed.get((user_id, session_id), (-1.0, 0.0))
        if renewed_at >= checked_at:
            expires_at = renewed_to
        held = Held(self, connection, user_id, session_id, expires_at)
        self._held[user_id].add(held)
        self._count += 1
        self._schedule(held)
        if self.has_ended(user_id, session_id, since=checked_at):
            held._end(ENDED)
        return held

    def has_ended(self, user_id: int, session_id: int | None, *, since: float) -> bool:
        """Whether the session, or with None the user's older tokens, ended since then."""
        return self._ended.get((user_id, session_id), -1.0) >= since

    def end(self, user_id: int, session_id: int | None) -> None:
        """End the session's connections; with None those of the user's older tokens."""
        key = (user_id, session_id)
        self._ended.pop(key, None)  # so that it is the last again: the first are the oldest
        self._ended[key] = monotonic()
        for held in [*self._held.get(user_id, ())]:
            if held.session_id == session_id:
                held._end(ENDED)

    def renew(self, user_id: int, session_id: int, expires_at: float) -> None:
        """Let the session's connections go on until then, also those that are being let in."""
        key = (user_id, session_id)
        self._renewed.pop(key, None)  # as for `end`
        self._renewed[key] = (monotonic(), expires_at)
        for held in self._held.get(user_id, ()):
            if held.session_id == session_id:
                held.renew(expires_at, session_id=session_id)

    def sweep(self) -> None:
        """Warn whose token ends soon; end the connections of those that have ended."""
        now = time.time()
        while self._due and self._due[0]._due <= now:
            held = heapq.heappop(self._due)
            if held._connection is None or held.expires_at is None:
                held._due = 0.0
                continue
            if held.expires_at <= now:
                held._end(EXPIRED)
                continue
            if not held._warned and held.expires_at - self._warning_seconds <= now:
                held._warn()
            self._push(held)
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

    def _schedule(self, held: Held) -> None:
        """Have the heap come to it in time: a renewed one is found there, and put back."""
        if held._connection is None or held.expires_at is None:
            return
        if held._due == 0.0:
            self._push(held)
        elif held.expires_at < held._due:
            self._due.remove(held)  # what is in a heap must not change its place
            heapq.heapify(self._due)
            self._push(held)

    def _push(self, held: Held) -> None:
        if held.expires_at is not None:
            held._due = held.expires_at - (0 if held._warned else self._warning_seconds)
            heapq.heappush(self._due, held)

    def _leave(self, held: Held) -> None:
        self._count -= 1
        of_user = self._held[held.user_id]
        of_user.discard(held)
        if not of_user:
            del self._held[held.user_id]
        if len(self._due) > 2 * self._count + MAX_IDLE_ENTRIES:
            self._due = [held for held in self._due if held._connection is not None]
            heapq.heapify(self._due)
