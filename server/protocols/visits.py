"""Who is connected: each TCP connection is counted for its address, from its first byte on.

An idle kept-alive connection ends when its address needs the room for a new one (RFC 9112 §9.5
lets a server end such a connection at any time).
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from server.logs import RareWarning
from server.processes.descriptors import Descriptors
from server.protocols.refusals import NO_DESCRIPTORS, TOO_MANY_CONNECTIONS, Refusal

# Connections that are to be refused may still ask for `/health` and `/ready`: so many at once.
MAX_ON_PROBATION = 32


class Callers(Protocol):
    """What the application knows of addresses, and how many connections each may have."""

    def is_proxy(self, direct: str) -> bool:
        """Whether a trusted proxy connects from there: its connections are those of others."""

    def find_client(self, direct: str, forwarded: Iterable[bytes]) -> str:
        """Return the address by which a caller is counted; empty when it is not known."""

    def has_room(self, address: str) -> bool:
        """Whether one more connection of the address may be opened."""

    def count(self, address: str) -> Callable[[], None]:
        """Count a connection, and return what counts it off again."""


class Visitor(Protocol):
    """An open HTTP connection."""

    caller: str

    def make_room(self) -> None:
        """End it: it is idle."""


class Visits:
    """The connections of one process."""

    def __init__(self, callers: Callers, descriptors: Descriptors) -> None:
        self.callers = callers
        self.descriptors = descriptors
        self.on_probation = 0
        self._idle: dict[str, dict[Visitor, None]] = {}  # the longest idle first
        self._full = RareWarning(
            "%s has MAX_CONNECTIONS_PER_ADDRESS open: more are refused. Where that is a proxy,"
            " name it in TRUSTED_PROXIES"
        )

    def refusal_of(self, descriptor: int, address: str) -> Refusal | None:
        """Return what a new connection is refused with; None when it may be served."""
        if self.descriptors.is_short(descriptor):
            self._end_idle(max(self._idle, key=lambda a: len(self._idle[a]), default=""))
            return NO_DESCRIPTORS
        return self.refusal_of_caller(address)

    def refusal_of_caller(self, address: str) -> Refusal | None:
        """Return what another connection of the address is refused with, if it is."""
        if not address or self.callers.has_room(address) or self._end_idle(address):
            return None
        self._full.log(address)
        return TOO_MANY_CONNECTIONS

    def rest(self, visitor: Visitor) -> None:
        """Note that the connection is idle."""
        self._idle.setdefault(visitor.caller, {})[visitor] = None

    def wake(self, visitor: Visitor) -> None:
        """Note that the connection is idle no more. May be called again."""
        idle = self._idle.get(visitor.caller)
        if idle is not None and visitor in idle:
            del idle[visitor]
            if not idle:
                del self._idle[visitor.caller]

    def _end_idle(self, address: str) -> bool:
        """End the connection of the address that has been idle for longest, if one is."""
        idle = self._idle.get(address)
        if not idle:
            return False
        visitor = next(iter(idle))
        self.wake(visitor)
        visitor.make_room()
        return True
