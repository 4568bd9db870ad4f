"""How many connections may be open: from one address, and of one user, in all processes together.

Of an address two things are counted, each up to the same limit: its TCP connections, whatever they
are used for, and its clients. A Socket.IO client that polls has no connection of its own.

The answer waits for nothing: what the others have open is known here, as of a moment ago.
"""

from collections.abc import Callable

from events.bus.bus import Bus
from events.tallies import Key, Tallies
from resolvers.errors import RateLimited
from resolvers.guards.addresses import Proxies
from settings import Settings

# When another of one's connections may have ended: nobody knows.
RETRY_MS = 10_000
# Before the addresses of TCP connections, to tell them from those of clients.
_TCP = "tcp "


class ConnectionSlots:
    """The open connections, by address and by user."""

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self._per_address = settings.max_connections_per_address if settings.limits else None
        self._per_user = settings.max_connections_per_user if settings.limits else None
        self._open = Tallies(bus, limit_of=self._limit)

    async def start(self) -> None:
        """Count together with the other processes."""
        await self._open.start()

    async def close(self) -> None:
        """Leave the count to the others."""
        await self._open.close()

    def has_room(self, address: str) -> bool:
        """Whether one more from the address may be opened."""
        return self._per_address is None or self._open.count(address) < self._per_address

    def hold_user(self, user_id: int) -> "Slot":
        """Count a connection of the user's within the block. Raises RateLimited on entering it."""
        return Slot(self._open, user_id, most=self._per_user)

    def count(self, key: Key) -> Callable[[], None]:
        """Count a connection, and return what counts it off again."""
        slot = Slot(self._open, key, most=None)
        slot.__enter__()
        return slot.__exit__

    def _limit(self, key: Key) -> int | None:
        return self._per_user if isinstance(key, int) else self._per_address


class Callers:
    """The TCP connections of each address, as `server/protocols/visits.py` asks of them."""

    def __init__(self, slots: ConnectionSlots, proxies: Proxies) -> None:
        self._slots = slots
        self.is_proxy = proxies.trusts
        self.find_client = proxies.find_client

    def has_room(self, address: str) -> bool:
        """Whether one more connection of the address may be opened."""
        return self._slots.has_room(_TCP + address)

    def count(self, address: str) -> Callable[[], None]:
        """Count a connection, and return what counts it off again."""
        return self._slots.count(_TCP + address)


class Slot:
    """One counted connection: each open one has two, so that they are kept small."""

    __slots__ = ("_key", "_most", "_open")

    def __init__(self, open_: Tallies, key: Key, *, most: int | None) -> None:
        self._open = open_
        self._key = key
        self._most = most

    def __enter__(self) -> None:
        if self._most is not None and self._open.count(self._key) >= self._most:
            raise RateLimited(
                "Too many connections of this user",
                retry_after_ms=RETRY_MS,
                setting="MAX_CONNECTIONS_PER_USER",
            )
        self._open.change(self._key, 1)

    def __exit__(self, *_: object) -> None:
        self._open.change(self._key, -1)
