"""Who is online: whoever has a connection to any process, or had one a short grace ago."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from events.bus import Bus, LoneBus
from events.facts import PresenceChanged
from events.latest import LatestChanges
from events.leases import Leases

logger = logging.getLogger("parley.presence")

# Departures share a transaction: each by itself, they would keep the database from the senders.
MOST_AT_ONCE = 500
# A database that hangs must not keep anybody online: so long after the grace, at most,
RECORD_SECONDS = 5
# but those who waited behind others that hung get a chance.
LEAST_RECORD_SECONDS = 0.1
# Nor the server from ending.
CLOSE_SECONDS = 1
# Two processes that lose a user at once each hear of the other's loss after their own, later by
# what the bus takes: then neither was told of the last one's by who knew it to be the last.
CROSSING_SECONDS = 5


@dataclass(slots=True, frozen=True, eq=False)
class _Departure:
    user_id: int
    at: datetime
    due: float  # when the grace ends
    told: bool  # by another process, which records it


class Hold:
    """A connection of a user's that is counted within the block; smaller than a generator."""

    __slots__ = ("_presence", "_user_id")

    def __init__(self, presence: "Presence", user_id: int) -> None:
        self._presence = presence
        self._user_id = user_id

    def __enter__(self) -> None:
        self._presence._arrive(self._user_id)

    def __exit__(self, *_: object) -> None:
        self._presence._leave(self._user_id)


class Presence:
    """Counts connections, here and (over the bus) elsewhere. Changes go to `listeners`, in order.

    `record_last_seen(user_ids, at)` is awaited before a departure is announced, so that whoever
    hears of it and asks finds the time. Those who left together get the time of the last of them.
    It raises OSError when they cannot be recorded now. `apart` says, live, who must not see whom,
    and `part` is called when that changes: subscriptions keep to it; listeners look themselves.
    """

    def __init__(
        self,
        *,
        grace_seconds: float,
        record_last_seen: Callable[[Collection[int], datetime], Awaitable[None]],
        bus: Bus | None = None,
        lease_seconds: float = 60,
        renewal_seconds: float = 20,
        sweep_seconds: float = 5,
        apart: Mapping[int, Collection[int]] | None = None,
    ) -> None:
        self._apart = {} if apart is None else apart
        self._grace_seconds = grace_seconds
        self._record_last_seen = record_last_seen
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
        self._departures: dict[int, _Departure] = {}  # in the order in which they are due
        self._departing: asyncio.Task[None] | None = None
        self._subscriptions: set[LatestChanges] = set()
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

    def hold(self, user_id: int) -> "Hold":
        """Count a connection of the user's for as long as the block lasts."""
        return Hold(self, user_id)

    def subscribe(self, viewer_id: int) -> LatestChanges:
        """Keep every change that the viewer may see from now on, until it is read."""
        subscription = LatestChanges(viewer_id, self._subscriptions.discard)
        self._subscriptions.add(subscription)
        return subscription

    def listen(self, listener: Callable[[PresenceChanged], None]) -> None:
        """Call the listener with every change from now on."""
        self._listeners.append(listener)

    def part(self, one: int, other: int, apart: bool) -> None:
        """Show two people to each other as offline from now on, or as they are again."""
        for viewer_id, user_id in ((one, other), (other, one)):
            if user_id in self._online:
                self._announce(PresenceChanged(user_id, online=not apart, seen_by=viewer_id))

    async def close(self) -> None:
        """Remember when everyone was last seen; announce nothing: a restart is no departure."""
        self._closed = True
        if self._departing is not None:
            self._departing.cancel()
            await asyncio.gather(self._departing, return_exceptions=True)
        mine = [*{*self._connections, *self._departures}]
        clock = asyncio.get_running_loop().time
        end, at = clock() + CLOSE_SECONDS, datetime.now(UTC)
        for start in range(0, len(mine), MOST_AT_ONCE):
            await self._record(mine[start : start + MOST_AT_ONCE], at, end - clock())
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
        self._departures.pop(user_id, None)
        if user_id not in self._online:
            self._online[user_id] = None
            self._announce(PresenceChanged(user_id, online=True))

    def _lose(self, user_id: int, told: bool) -> None:
        self._holders[user_id] -= 1
        if self._holders[user_id] == 0:
            del self._holders[user_id]
            now = asyncio.get_running_loop().time()
            left = self._left.pop(user_id, None)
            if left is not None and now - left < CROSSING_SECONDS:
                told = False
            if not self._closed:
                self._departures[user_id] = _Departure(
                    user_id, datetime.now(UTC), now + self._grace_seconds, told
                )
                if self._departing is None or self._departing.done():
                    self._departing = asyncio.create_task(self._depart(), name="departures")

    async def _depart(self) -> None:
        """Record and announce departures as they become due, until none is left."""
        clock = asyncio.get_running_loop().time
        while self._departures:
            first = next(iter(self._departures.values()))
            await asyncio.sleep(first.due - clock())
            now = clock()
            foremost = islice(self._departures.values(), MOST_AT_ONCE)
            due = [departure for departure in foremost if departure.due <= now]
            untold = [departure for departure in due if not departure.told]
            at = max((departure.at for departure in untold), default=datetime.now(UTC))
            if untold:
                seconds = max(untold[0].due + RECORD_SECONDS - now, LEAST_RECORD_SECONDS)
                await self._record([departure.user_id for departure in untold], at, seconds)
            for departure in due:
                # Who came back meanwhile has not left; who left again since is not due yet.
                if self._departures.get(departure.user_id) is departure:
                    del self._departures[departure.user_id]
                    del self._online[departure.user_id]
                    seen_at = departure.at if departure.told else at
                    self._announce(PresenceChanged(departure.user_id, False, seen_at))

    async def _record(self, user_ids: Collection[int], at: datetime, seconds: float) -> None:
        recording = asyncio.ensure_future(self._record_last_seen(user_ids, at))
        # What it ends with after its time is of no interest.
        recording.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            # Not `timeout`: cancelled, a statement that waits for SQLite's lock goes on waiting.
            await asyncio.wait([recording], timeout=seconds)
            if not recording.done() or recording.cancelled():
                raise TimeoutError("no answer in time")
            recording.result()
        except OSError as error:
            logger.warning(
                "Could not record when %d users were last seen: %r", len(user_ids), error
            )
        except Exception:
            logger.exception("Could not record when %d users were last seen", len(user_ids))
        finally:
            recording.cancel()

    def _announce(self, change: PresenceChanged) -> None:
        apart = self._apart.get(change.user_id, ())
        for subscription in self._subscriptions:
            viewer_id = subscription.viewer_id
            if viewer_id == change.seen_by or (change.seen_by is None and viewer_id not in apart):
                subscription.deliver(change)
        for listener in self._listeners:
            try:
                listener(change)
            except Exception:
                # A connection that is counted must be given back, whatever a listener does.
                logger.exception("A listener failed on %s", change)
