"""Several processes' presence, on one loop and one bus."""

from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from itertools import count
from typing import Any

from events.bus.bus import Bus
from events.bus.redis_bus import RedisBus
from events.facts import PresenceChanged
from events.presence import Presence
from events.roster import Roster
from tests.events.lossy_bus import Network
from tests.support.inbox import Inbox

GRACE, LEASE, RENEWAL, SWEEP = 0.05, 0.5, 0.1, 0.05

_prefixes = count(1)


class Process:
    """One process's presence, and what it said of it and recorded."""

    def __init__(self, bus: Bus, **seconds: float) -> None:
        self.bus = bus
        self.recorded: list[int] = []
        self.changes: Inbox[PresenceChanged] = Inbox()
        times: dict[str, Any] = {
            "grace_seconds": GRACE,
            "lease_seconds": LEASE,
            "renewal_seconds": RENEWAL,
            "sweep_seconds": SWEEP,
        }
        times = {**times, **seconds}
        grace = times.pop("grace_seconds")
        self.roster = Roster(bus, **times)
        self.presence = Presence(
            grace_seconds=grace, record_last_seen=self._record, roster=self.roster
        )
        self.presence.listen(self._take)

    def _take(self, window: Sequence[PresenceChanged]) -> None:
        for change in window:
            self.changes.put(change)

    async def _record(self, user_ids: Collection[int], at: datetime) -> None:
        self.recorded += user_ids

    async def hears(self, user_id: int, online: bool, seconds: float = 5) -> None:
        """Wait until the user's last change is this."""
        await self.changes.expect(lambda _: self.last(user_id) is online, seconds)

    def last(self, user_id: int) -> bool | None:
        """Whether the user came or went last, as it was announced."""
        said = self.said(user_id)
        return said[-1] if said else None

    def said(self, user_id: int) -> list[bool]:
        """Everything announced of the user."""
        return [change.online for change in self.changes.items if change.user_id == user_id]

    async def vanish(self) -> None:
        """End as kill -9 would: without a word."""
        for task in self.roster._tasks:
            task.cancel()
        await self.bus.close()

    async def close(self) -> None:
        """End as a server does."""
        await self.presence.close()
        await self.roster.close()


class Processes:
    """Processes that share a bus of one kind."""

    def __init__(self, stack: AsyncExitStack, url: str | None) -> None:
        self._stack = stack
        self._url = url
        self._prefix = f"roster{next(_prefixes)}"
        self.network = Network()

    async def start(self, **seconds: float) -> Process:
        """Add a process."""
        bus: Bus = self.network.bus()
        if self._url is not None:
            bus = RedisBus(self._url, prefix=self._prefix)
        await bus.start()
        self._stack.push_async_callback(bus.close)
        process = Process(bus, **seconds)
        await process.roster.start()
        self._stack.push_async_callback(process.close)
        return process
