"""Who is online: every user who has a connection to any process, or had one a moment ago."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, islice

from events.facts import PresenceChanged
from events.latest import LatestChanges, Watch
from events.roster import Roster
from events.slices import in_slices

logger = logging.getLogger("parley.presence")

# Departures share a transaction: each by itself, they would keep the database from the senders.
MOST_AT_ONCE = 500
# A departure is announced at most so long after its grace, also where the database hangs.
RECORD_SECONDS = 5
# A departure that waited behind others that hung is given at least so long to be recorded.
LEAST_RECORD_SECONDS = 0.1
# A server that stops waits at most so long for the database to record its users' departures.
CLOSE_SECONDS = 1
# Two processes can lose the same user at the same moment. Each hears of the other's loss after its
# own, and would leave the recording to the other. Within so long, each records it itself.
CROSSING_SECONDS = 5
# A lone change is told at once. Changes that follow within so long are told together.
WINDOW_SECONDS = 0.1
# Telling takes at most this share of the loop: the more there is to tell, the later it is told.
MOST_SHARE = 0.25
MOST_WINDOW_SECONDS = 2.0

# Called with the changes of one window, in order, the latest of each user.
Listener = Callable[[Sequence[PresenceChanged]], None]


@dataclass(slots=True, frozen=True, eq=False)
class _Departure:
    user_id: int
    at: datetime
    due: float  # when the grace ends
    told: bool  # by another process, which records it


class Presence:
    """Counts connections, here and (by the roster) elsewhere, and tells of changes in windows.

    The changes of a window are told together, only the last of each user: first to the listeners,
    then to the watches, in slices. `record_last_seen(user_ids, at)` is awaited before a departure
    is announced, so that a client which hears of it and asks finds the time. Users who left
    together get the time of the last of them. It raises OSError when it cannot record now.

    `apart` says, live, who must not see whom; call `part` when that changes. `circle` says, live,
    whom a viewer may see beside themselves; None for everybody. Watches show only what their
    viewer may see; listeners ask `sees`.

    `invisible` says, live, whose connections count for nobody's eyes: they are not told to other
    processes, and leave no time. Call `hide` when that changes.
    """

    def __init__(
        self,
        *,
        grace_seconds: float,
        record_last_seen: Callable[[Collection[int], datetime], Awaitable[None]],
        roster: Roster,
        apart: Mapping[int, Collection[int]] | None = None,
        circle: Callable[[int], Collection[int] | None] = lambda viewer_id: None,
        invisible: Collection[int] = (),
    ) -> None:
        self._invisible = invisible
        self._unseen: dict[int, int] = {}  # connections here of those who are invisible
        self._apart = {} if apart is None else apart
        self._circle = circle
        self._arrivals: dict[int, int] = {}  # a number for each who is online, in order
        self._numbers = count()
        self._grace_seconds = grace_seconds
        self._record_last_seen = record_last_seen
        self._roster = roster
        self._roster.follow_users(came=self._come, went=self._go)
        # In the order of arrival, with the change that says so; also during the grace.
        self._online: dict[int, PresenceChanged] = {}
        self._left: dict[int, float] = {}  # when this process ceased to hold who others still held
        self._departures: dict[int, _Departure] = {}  # in the order in which they are due
        self._departing: asyncio.Task[None] | None = None
        self._changes = LatestChanges()
        self._watches: set[Watch] = set()
        self._listeners: list[Listener] = []
        self._telling: asyncio.Task[None] | None = None
        self._told_online: set[int] = set()  # to the listeners
        self._told = 0  # up to this position of the changes
        self._tell_at = 0.0  # when the next window may end
        self._closed = False

    @property
    def online_ids(self) -> Collection[int]:
        """The ids of everyone online, in order of arrival."""
        return self._online.keys()

    def is_online(self, user_id: int) -> bool:
        """Whether the user is online."""
        return user_id in self._online

    def is_here(self, user_id: int) -> bool:
        """Whether the user has a connection, for their own eyes: also one who is invisible."""
        return user_id in self._online or user_id in self._unseen

    def sees(self, viewer_id: int, user_id: int) -> bool:
        """Whether presence shows this person to the viewer: the one place that decides."""
        return user_id not in self._apart.get(viewer_id, ()) and self._knows(viewer_id, user_id)

    def sees_everybody(self, viewer_id: int) -> bool:
        """Whether the viewer sees every person, so that what is made for everybody will do."""
        return self._circle(viewer_id) is None and not self._apart.get(viewer_id)

    def _knows(self, viewer_id: int, user_id: int) -> bool:
        circle = self._circle(viewer_id)
        return circle is None or user_id == viewer_id or user_id in circle

    def snapshot(
        self, viewer_id: int, only: Collection[int] | None = None
    ) -> Sequence[PresenceChanged]:
        """Return the users whom the viewer sees online, of these or of all, in order of arrival."""
        if only is not None:
            wanted = {*only}
            found = [self._online[id_] for id_ in wanted if id_ in self._online]
            return [change for change in found if self.sees(viewer_id, change.user_id)]
        if self.sees_everybody(viewer_id):
            return [*self._online.values()]
        circle = self._circle(viewer_id)
        if circle is None:
            return [c for c in self._online.values() if self.sees(viewer_id, c.user_id)]
        near = [id_ for id_ in {viewer_id, *circle} if id_ in self._online]
        near.sort(key=self._arrivals.__getitem__)
        return [self._online[id_] for id_ in near if self.sees(viewer_id, id_)]

    def watch(self, viewer_id: int, only: Collection[int] | None = None) -> Watch:
        """Watch the changes from now on that the viewer may see, of these users or of all."""
        watch = Watch(
            self._changes, viewer_id, shown=self._shown, leave=self._watches.discard, only=only
        )
        self._watches.add(watch)
        return watch

    def listen(self, listener: Listener) -> None:
        """Call the listener with the changes of each window from now on."""
        self._listeners.append(listener)

    def part(self, one: int, other: int, apart: bool) -> None:
        """Show two people to each other as offline from now on; not `apart`, as they are."""
        for viewer_id, user_id in ((one, other), (other, one)):
            if not self._knows(viewer_id, user_id):
                continue  # the viewer was never shown this user
            # A user who has just left may still be online to the viewer, who hears no more of it.
            if user_id in self._online or (apart and self._changes.has(user_id)):
                self._announce(PresenceChanged(user_id, online=not apart, seen_by=viewer_id))

    def meet(self, viewer_id: int, user_id: int, met: bool) -> None:
        """Show a user to a viewer as they are; not `met`, whom the viewer may no longer find."""
        if met:
            if user_id in self._online and self.sees(viewer_id, user_id):
                self._announce(PresenceChanged(user_id, online=True, seen_by=viewer_id))
        elif user_id in self._online or self._changes.has(user_id):
            self._announce(PresenceChanged(user_id, online=False, seen_by=viewer_id))

    def _shown(self, watch: Watch, changes: Sequence[PresenceChanged]) -> Sequence[PresenceChanged]:
        """Return those of the changes that the watch's viewer may see now."""
        viewer_id, only = watch.viewer_id, watch.only
        if only is None and not self._changes.has_private and self.sees_everybody(viewer_id):
            return changes
        shown: dict[int, PresenceChanged] = {}
        for change in changes:
            user_id, seen_by = change.user_id, change.seen_by
            if (only is not None and user_id not in only) or seen_by not in {None, viewer_id}:
                continue
            # A change that tells only this viewer that a user is offline now is always shown.
            if (seen_by is None or change.online) and not self.sees(viewer_id, user_id):
                continue
            shown.pop(user_id, None)
            shown[user_id] = change
        return [*shown.values()]

    async def close(self) -> None:
        """Remember when everyone was last seen; announce nothing: a restart is no departure."""
        self._closed = True
        for task in (self._departing, self._telling):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        mine = [*{*self._roster.own_users, *self._departures}]
        clock = asyncio.get_running_loop().time
        end, at = clock() + CLOSE_SECONDS, datetime.now(UTC)
        for start in range(0, len(mine), MOST_AT_ONCE):
            await self._record(mine[start : start + MOST_AT_ONCE], at, end - clock())

    def enter(self, user_id: int) -> None:
        """Count a connection of the user's until `leave` (events/hub.py)."""
        if user_id in self._invisible:
            self._unseen[user_id] = self._unseen.get(user_id, 0) + 1
            return
        self._left.pop(user_id, None)
        self._roster.change(user_id, 1)

    def leave(self, user_id: int) -> None:
        """Count it off again."""
        if user_id in self._unseen:
            self._unseen[user_id] -= 1
            if not self._unseen[user_id]:
                del self._unseen[user_id]
            return
        self._roster.change(user_id, -1)
        if self._roster.holders(user_id) and not self._roster.own(user_id):
            self._left[user_id] = asyncio.get_running_loop().time()

    def hide(self, user_id: int, invisible: bool, at: datetime) -> None:
        """Show the user offline from now on, last seen then; or as they are, if not `invisible`.

        There is no grace, and nothing to record: who became invisible has recorded the time.
        """
        if not invisible:
            if unseen := self._unseen.pop(user_id, 0):
                self._roster.change(user_id, unseen)
            if self._roster.holders(user_id):  # also a process that was ahead of this one
                self._come(user_id)
            return
        self._left.pop(user_id, None)
        self._departures.pop(user_id, None)
        if user_id in self._online:
            del self._online[user_id], self._arrivals[user_id]
            self._announce(PresenceChanged(user_id, False, at))
        if own := self._roster.own(user_id):
            self._unseen[user_id] = own
            self._roster.change(user_id, -own)

    def _come(self, user_id: int) -> None:
        if user_id in self._invisible:
            return  # told by a process that is behind this one
        self._departures.pop(user_id, None)
        if user_id not in self._online:
            self._online[user_id] = change = PresenceChanged(user_id, online=True)
            self._arrivals[user_id] = next(self._numbers)
            self._announce(change)

    def _go(self, user_id: int, told: bool) -> None:
        now = asyncio.get_running_loop().time()
        left = self._left.pop(user_id, None)
        if left is not None and now - left < CROSSING_SECONDS:
            told = False
        if not self._closed and user_id in self._online:
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
                # A user who came back has not left; one who left again since is not due yet.
                if self._departures.get(departure.user_id) is departure:
                    del self._departures[departure.user_id]
                    del self._online[departure.user_id], self._arrivals[departure.user_id]
                    seen_at = departure.at if departure.told else at
                    self._announce(PresenceChanged(departure.user_id, False, seen_at))

    async def _record(self, user_ids: Collection[int], at: datetime, seconds: float) -> None:
        recording = asyncio.ensure_future(self._record_last_seen(user_ids, at))
        # Read its error, else Python logs it; after its time nobody waits for it.
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
        self._changes.add(change)
        if not self._closed and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell(), name="presence")

    async def _tell(self) -> None:
        """Tell of what has changed, window by window, until there is nothing new."""
        clock = asyncio.get_running_loop().time
        while self._told < self._changes.position:
            await asyncio.sleep(max(0.0, self._tell_at - clock()))
            began, before = clock(), self._told
            window: list[PresenceChanged] = []
            while self._told < self._changes.position:
                changes, self._told = self._changes.read(self._told)
                window += changes
            news = [change for change in window if self._is_news(change)]
            for listener in self._listeners if news else ():
                try:
                    listener(news)
                except Exception:
                    # A connection that is counted must be given back, whatever a listener does.
                    logger.exception("A listener failed on a window of presence")
            user_ids = {change.user_id for change in window}
            behind = [watch for watch in self._watches if not watch.pass_by(before, user_ids)]
            busy = await in_slices(behind, Watch.wake)
            self._let_go()
            wait = min(max(WINDOW_SECONDS, busy / MOST_SHARE), MOST_WINDOW_SECONDS)
            self._tell_at = max(began + wait, clock() + busy)

    def _is_news(self, change: PresenceChanged) -> bool:
        """Whether the listeners were told something else of the user last."""
        if change.seen_by is not None:
            return True
        if change.online is (change.user_id in self._told_online):
            return False
        (self._told_online.add if change.online else self._told_online.discard)(change.user_id)
        return True

    def _let_go(self) -> None:
        """Drop the changes that every watch has read; a watch that never reads costs a position."""
        positions = [watch.position for watch in self._watches]
        self._changes.forget(min([self._told, *positions]))
        if self._changes.has_many_holes:
            moved = self._changes.close_holes()
            self._told = moved(self._told)
            for watch in self._watches:
                watch.position = moved(watch.position)
