"""How many connections may be open: from one address, and of one user, in all processes together.

Of an address two things are counted, each up to the same limit: its TCP connections, whatever they
are used for, and its clients. A Socket.IO client that polls has no connection of its own.

The answer waits for nothing: the roster knows what the other processes had open a moment ago.
"""

from collections.abc import Callable

from events.roster import Roster
from resolvers.errors import TooManyConnections
from resolvers.guards.addresses import Proxies
from settings import Settings

# When another of the user's connections may have ended: nobody knows.
RETRY_MS = 10_000
# Before the address of a TCP connection, and before a user's id, to tell them from the address of
# a client. No address begins with either.
_TCP = "tcp "
_USER = "#"


class ConnectionSlots:
    """The open connections, by address and by user."""

    def __init__(self, settings: Settings, roster: Roster) -> None:
        self._per_address = settings.max_connections_per_address if settings.limits else None
        self._per_user = settings.max_connections_per_user if settings.limits else None
        self._roster = roster
        roster.limit_names(self._limit)

    def has_room(self, address: str) -> bool:
        """Whether one more from the address may be opened."""
        return self._per_address is None or self._roster.count(address) < self._per_address

    def enter(self, user_id: int) -> None:
        """Count a connection of the user's (events/hub.py). Raises TooManyConnections."""
        name = f"{_USER}{user_id}"
        if self._per_user is not None and self._roster.count(name) >= self._per_user:
            raise TooManyConnections(
                "Too many connections of this user",
                retry_after_ms=RETRY_MS,
                setting="MAX_CONNECTIONS_PER_USER",
            )
        self._roster.change(name, 1)

    def leave(self, user_id: int) -> None:
        """Count a connection of the user's off again."""
        self._roster.change(f"{_USER}{user_id}", -1)

    def count(self, address: str) -> Callable[[], None]:
        """Count a connection from the address, and return the call that counts it off again."""
        return _Slot(self._roster, address)

    def _limit(self, name: str) -> int | None:
        return self._per_user if name.startswith(_USER) else self._per_address


class TcpSlots:
    """The TCP connections of each address, as `server/protocols/visits.py` asks of them."""

    def __init__(self, slots: ConnectionSlots, proxies: Proxies) -> None:
        self._slots = slots
        self.is_proxy = proxies.is_proxy
        self.find_client = proxies.find_client

    def has_room(self, address: str) -> bool:
        """Whether one more connection of the address may be opened."""
        return self._slots.has_room(_TCP + address)

    def count(self, address: str) -> Callable[[], None]:
        """Count a connection, and return the call that counts it off again."""
        return self._slots.count(_TCP + address)


class _Slot:
    """One counted connection. Each open one has two, so that they are kept small."""

    __slots__ = ("_name", "_roster")

    def __init__(self, roster: Roster, name: str) -> None:
        self._roster = roster
        self._name = name
        roster.change(name, 1)

    def __call__(self) -> None:
        """Count it off."""
        self._roster.change(self._name, -1)
