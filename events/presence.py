"""Who is online: a user is, while any connection of theirs is held, and for a short grace after."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from events.facts import PresenceChanged
from events.subscription import Subscription

logger = logging.getLogger("parley.presence")

CHANGE_BYTES = 64


class Presence:
    """Counts connections. Changes go to `listeners`, in order.

    `record_last_seen(user_ids, at)` is awaited before a departure is announced, so that whoever
    hears of it and asks finds the time.
    """

    def __init__(
        self,
        *,
        grace_seconds: float,
        record_last_seen: Callable[[Collection[int], datetime], Awaitable[None]],
        max_queued: int,
    ) -> None:
        self._grace_seconds = grace_seconds
        self._record_last_seen = record_last_seen
        self._max_queued = max_queued
        self._connections: dict[int, int] = {}
        self._departures: dict[int, asyncio.Task[None]] = {}
        self._subscriptions: set[Subscription[PresenceChanged]] = set()
        self._listeners: list[Callable[[PresenceChanged], None]] = []

    @property
    def online_ids(self) -> Collection[int]:
        """The ids of everyone online, in order of arrival."""
        return self._connections.keys()

    def is_online(self, user_id: int) -> bool:
        """Whether the user is online."""
        return user_id in self._connections

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
        departures = [*self._departures.values()]
        for departure in departures:
            departure.cancel()
        await asyncio.gather(*departures, return_exceptions=True)
        if self._connections:
            await self._record(self._connections.keys(), datetime.now(UTC))

    def _arrive(self, user_id: int) -> None:
        if (departure := self._departures.pop(user_id, None)) is not None:
            departure.cancel()
        if user_id in self._connections:
            self._connections[user_id] += 1
        else:
            self._connections[user_id] = 1
            self._announce(PresenceChanged(user_id, online=True))

    def _leave(self, user_id: int) -> None:
        self._connections[user_id] -= 1
        if self._connections[user_id] == 0:
            self._departures[user_id] = asyncio.create_task(
                self._depart(user_id, datetime.now(UTC)), name=f"departure of {user_id}"
            )

    async def _depart(self, user_id: int, at: datetime) -> None:
        await asyncio.sleep(self._grace_seconds)
        await self._record([user_id], at)
        del self._departures[user_id]
        del self._connections[user_id]
        self._announce(PresenceChanged(user_id, online=False, last_seen_at=at))

    async def _record(self, user_ids: Collection[int], at: datetime) -> None:
        try:
            await self._record_last_seen(user_ids, at)
        except Exception:
            logger.exception("Could not record when %d users were last seen", len(user_ids))

    def _announce(self, change: PresenceChanged) -> None:
        for subscription in self._subscriptions:
            subscription.deliver(change, CHANGE_BYTES)
        for listener in self._listeners:
            listener(change)
