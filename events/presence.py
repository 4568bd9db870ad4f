"""Who is online: whoever has a connection to any process, or had one a short grace ago."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from events.bus import Bus, LoneBus
from events.facts import PresenceChanged
from events.leases import Leases
from events.subscription import Subscription

logger = logging.getLogger("parley.presence")

CHANGE_BYTES = 64
# A database that hangs must not keep anybody online.
RECORD_SECONDS = 5
# Nor the server from ending.
CLOSE_SECONDS = 1
# Two processes that lose a user at once each hear of the other's loss after their own, later by
# what the bus takes: then neither was told of the last one's by who knew it to be the last.
CROSSING_SECONDS = 5


class Presence:
    """Counts connections, here and (over the bus) elsewhere. Changes go to `listeners`, in order.

    `record_last_seen(user_ids, at)` is awaited before a departure is announced, so that whoever
    hears of it and asks finds the time.
    """

    def __init__(
        self,
        *,
        grace_seconds: float,
        record_last_seen: Callable[[Collection[int], datetime], Awaitable[None]],
        max_queued: int,
        bus: Bus | None = None,
        lease_seconds: float = 60,
        renewal_seconds: float = 20,
        sweep_seconds: float = 5,
    ) -> None:
        self._grace_seconds = grace_seconds
        self._record_last_seen = record_last_seen
        self._max_queued = max_queued
        self._leases = Leases(
            bus or LoneBus(),
            lease_seconds=lease_seconds,
            renewal_seconds=renewal_seconds,
            sweep_seconds=sweep_seconds,
            gained=self._gain,
            lost=self._lose,
        )
        self._connections: dict[int, int] = {}  # of this process
        self._holders: dict[int, int] = {}  # processes, this one included
        self._online: dict[int, None] = {}  # in the order of arrival; also during the grace
        self._left: dict[int, float] = {}  # when this process ceased to hold who others still held
        self._departures: dict[int, asyncio.Task[None]] = {}
        self._subscriptions: set[Subscription[PresenceChanged]] = set()
        self._listeners: list[Callable[[PresenceChanged], None]] = []
        self._closed = False

    async def start(self) -> None:
        """Begin to tell the other processes, and to hear of theirs."""
        await self._leases.start()

    @property
    def online_ids(self) -> Collection[int]:
        """The ids of everyone online, in order of arrival."""
        return self._online.keys()

    def is_online(self, user_id: int) -> bool:
        """Whether the user is online."""
        return user_id in self._online

    @contextmanager
    def hold(self, user_id: int) -> Iterator[None]:
        """Count a connection of the user's for as long as the block lasts."""
        self._arrive(user_id)
        try:
            yield
        finally:
            self._leave(user_id)

    def subscribe(self) -> Subscription[PresenceChanged]:
        """Queue every change from now on."""
        subscription: Subscription[PresenceChanged] = Subscription(
            max_items=self._max_queued,
            max_bytes=self._max_queued * CHANGE_BYTES,
            leave=self._subscriptions.discard,
        )
        self._subscriptions.add(subscription)
        return subscription

    def listen(self, listener: Callable[[PresenceChanged], None]) -> None:
        """Call the listener with every change from now on."""
        self._listeners.append(listener)

    async def close(self) -> None:
        """Remember when everyone was last seen; announce nothing: a restart is no departure."""
        self._closed = True
        departures = [*self._departures.values()]
        for departure in departures:
            departure.cancel()
        await asyncio.gather(*departures, return_exceptions=True)
        if mine := {*self._connections, *self._departures}:
            await self._record(mine, datetime.now(UTC), CLOSE_SECONDS)
        await self._leases.close()

    def _arrive(self, user_id: int) -> None:
        self._connections[user_id] = self._connections.get(user_id, 0) + 1
        if self._connections[user_id] == 1:
            self._leases.hold(user_id)

    def _leave(self, user_id: int) -> None:
        self._connections[user_id] -= 1
        if self._connections[user_id] == 0:
            del self._connections[user_id]
            self._leases.release(user_id)
            if user_id in self._holders:
                self._left[user_id] = asyncio.get_running_loop().time()

    def _gain(self, user_id: int) -> None:
        self._holders[user_id] = self._holders.get(user_id, 0) + 1
        if user_id in self._connections:
            self._left.pop(user_id, None)
        if (departure := self._departures.pop(user_id, None)) is not None:
            departure.cancel()
        if user_id not in self._online:
            self._online[user_id] = None
            self._announce(PresenceChanged(user_id, online=True))

    def _lose(self, user_id: int, told: bool) -> None:
        self._holders[user_id] -= 1
        if self._holders[user_id] == 0:
            del self._holders[user_id]
            left = self._left.pop(user_id, None)
            if left is not None and asyncio.get_running_loop().time() - left < CROSSING_SECONDS:
                told = False
            if not self._closed:
                self._departures[user_id] = asyncio.create_task(
                    self._depart(user_id, datetime.now(UTC), told), name=f"departure of {user_id}"
                )

    async def _depart(self, user_id: int, at: datetime, told: bool) -> None:
        await asyncio.sleep(self._grace_seconds)
        if not told:  # else the process that told of it records it
            await self._record([user_id], at, RECORD_SECONDS)
        del self._departures[user_id]
        del self._online[user_id]
        self._announce(PresenceChanged(user_id, online=False, last_seen_at=at))

    async def _record(self, user_ids: Collection[int], at: datetime, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._record_last_seen(user_ids, at)
        except Exception:
            logger.exception("Could not record when %d users were last seen", len(user_ids))

    def _announce(self, change: PresenceChanged) -> None:
        for subscription in self._subscriptions:
            subscription.deliver(change, CHANGE_BYTES)
        for listener in self._listeners:
            try:
                listener(change)
            except Exception:
                # A connection that is counted must be given back, whatever a listener does.
                logger.exception("A listener failed on %s", change)
