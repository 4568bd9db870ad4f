"""Who is online, told to the older clients: `user:online` and `user:offline`.

Each client gets the list of everyone online, so a crowd costs the square of its number. Therefore
the lists of a window go out together, and the window grows with their cost; a list is encoded once
for all clients that see the same people; and clients are written to in slices of the loop.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Protocol

from compat.socketio.packets import EncodedEvent, encode_event
from events.facts import PresenceChanged
from events.presence import Presence
from events.slices import in_slices

logger = logging.getLogger(__name__)

# The shortest window. A client that has just logged in gets its list after this time.
LEAST_WINDOW_SECONDS = 0.05
MOST_WINDOW_SECONDS = 10.0
# For each client and each person on its list: about 6 MB of lists a second, a twentieth of a core.
WINDOW_SECONDS_PER_PAIR = 1e-6
# A list that is made for one client alone costs as much as sending so many shared ones.
OWN_LIST_PAIRS = 4
# Up to this cost each login brings every client a list, as from the older server. Above it, a list
# without news is left out.
CHEAP_PAIRS = 100_000
# Up to so many departures of a window are told one by one; more are told by one list.
MOST_DEPARTURES = 32
# How often to look again at the clients that did not read.
LAGGING_SECONDS = 0.5


class Viewer(Protocol):
    """A client, as far as this module looks at it."""

    shown: int | None  # the digest of whom the client takes for online; None: it needs a list

    @property
    def viewer_id(self) -> int | None:
        """The user who has logged in; None for nobody, who is told nothing."""

    def reads(self) -> bool:
        """Whether hardly anything waits for the client."""

    def push(self, encoded: EncodedEvent) -> bool:
        """Queue an event."""


class OnlineLists:
    """Tells every viewer. A viewer that does not read is told nothing, and gets one list later."""

    def __init__(self, presence: Presence, viewers: Collection[Viewer]) -> None:
        self._presence = presence
        self._viewers = viewers
        self._departed: dict[int, None] = {}
        self._private: list[PresenceChanged] = []
        self._newcomers: set[Viewer] = set()
        self._lagging: set[Viewer] = set()
        self._own_lists = 0  # lists for one client alone, in the last round
        self._list_at: float | None = None  # when all get a list
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._everyone: tuple[EncodedEvent, int] | None = None  # the list and its digest
        presence.listen(self._note)

    def greet(self, viewer: Viewer) -> None:
        """Tell a viewer who has just logged in, and all others, of everyone online."""
        self._newcomers.add(viewer)
        self._everyone = None
        self._list_soon()
        self._run_at(self._now() + LEAST_WINDOW_SECONDS)

    def close(self) -> None:
        """Tell nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _note(self, window: Sequence[PresenceChanged]) -> None:
        """Note what has changed; tell it as soon as its window is over."""
        self._everyone = None
        for change in window:
            if change.seen_by is not None:
                self._private.append(change)
            elif change.online:
                self._departed.pop(change.user_id, None)
                self._list_soon()
            else:
                self._departed[change.user_id] = None
        if len(self._departed) > MOST_DEPARTURES:
            self._departed.clear()
            self._list_soon()
        if self._departed or self._private:
            self._run_at(self._now())

    def _list_soon(self) -> None:
        if self._list_at is None:
            lists = len(self._viewers) + OWN_LIST_PAIRS * self._own_lists
            pairs = len(self._presence.online_ids) * lists
            window = LEAST_WINDOW_SECONDS + WINDOW_SECONDS_PER_PAIR * pairs
            self._list_at = self._now() + min(window, MOST_WINDOW_SECONDS)
            self._run_at(self._list_at)

    def _run_at(self, moment: float) -> None:
        if self._task is not None:
            return  # `_ran` looks for more work
        if self._timer is not None:
            if self._timer_at <= moment:
                return
            self._timer.cancel()
        # Kept here: uvloop's handle has no `when()` for a moment that is almost past.
        self._timer_at = moment
        self._timer = asyncio.get_running_loop().call_at(moment, self._run)

    def _run(self) -> None:
        self._timer = None
        self._task = asyncio.create_task(self._tell(), name="online lists")
        self._task.add_done_callback(self._ran)

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if task.cancelled():
            return
        if task.exception() is not None:
            logger.error("Who is online could not be told", exc_info=task.exception())
        if self._departed or self._private or self._newcomers:
            self._run_at(self._now() + LEAST_WINDOW_SECONDS)
        if self._list_at is not None:
            self._run_at(self._list_at)
        if self._lagging:
            self._run_at(self._now() + LAGGING_SECONDS)

    async def _tell(self) -> None:
        private, self._private = self._private, []
        self._tell_parted(private)
        departed, self._departed = [*self._departed], {}
        if departed:
            await self._tell_departures(departed)
        if self._list_at is not None and self._list_at <= self._now() + LEAST_WINDOW_SECONDS:
            self._list_at, self._own_lists = None, 0
            self._newcomers.clear()
            pairs = len(self._viewers) * len(self._presence.online_ids)
            show = self._show if pairs <= CHEAP_PAIRS else self._show_news
            self._lagging.clear()
            await in_slices([*self._viewers], show)
        newcomers, self._newcomers = [*self._newcomers, *self._lagging], set()
        self._lagging.clear()
        await in_slices(newcomers, self._show_news)

    def _tell_parted(self, changes: Sequence[PresenceChanged]) -> None:
        """Tell of blocks, which change what one person sees."""
        if not changes:
            return
        for viewer in [*self._viewers]:
            for change in changes:
                if viewer.viewer_id == change.seen_by:
                    if change.online:
                        self._show_news(viewer)
                    else:
                        _leave_out(viewer, [change.user_id])
                        viewer.push(encode_event("user:offline", change.user_id))

    async def _tell_departures(self, user_ids: Sequence[int]) -> None:
        events = {user_id: encode_event("user:offline", user_id) for user_id in user_ids}
        frames = [frame for event in events.values() for frame in event.frames]
        together = EncodedEvent.of(*frames)
        sees, sees_everybody = self._presence.sees, self._presence.sees_everybody

        def tell(viewer: Viewer) -> None:
            user_id = self._user_to_tell(viewer)
            if user_id is None:
                return
            if sees_everybody(user_id):
                _leave_out(viewer, user_ids)
                viewer.push(together)
            else:
                seen = [departed for departed in user_ids if sees(user_id, departed)]
                _leave_out(viewer, seen)
                for departed in seen:
                    viewer.push(events[departed])

        await in_slices([*self._viewers], tell)

    def _user_to_tell(self, viewer: Viewer) -> int | None:
        """Return the viewer's user; None where it is not told now: nobody is there, or reads."""
        if viewer.viewer_id is not None and not viewer.reads():
            viewer.shown = None
            self._lagging.add(viewer)
            return None
        return viewer.viewer_id

    def _show(self, viewer: Viewer, *, news: bool = False) -> None:
        """Push everyone whom the viewer may see; with `news`, unless it was told the same."""
        user_id = self._user_to_tell(viewer)
        if user_id is None:
            return
        if self._presence.sees_everybody(user_id):
            event, seen = self._list_of_all()
            if news and viewer.shown == seen:
                return
        else:
            # A list without news would tell of a change of somebody whom the viewer must not see.
            self._own_lists += 1
            ids = [change.user_id for change in self._presence.snapshot(user_id)]
            seen = digest(ids)
            if viewer.shown == seen:
                return
            event = encode_event("user:online", ids)
        viewer.shown = seen
        viewer.push(event)

    def _show_news(self, viewer: Viewer) -> None:
        self._show(viewer, news=True)

    def _list_of_all(self) -> tuple[EncodedEvent, int]:
        if self._everyone is None:
            everyone = [*self._presence.online_ids]
            self._everyone = encode_event("user:online", everyone), digest(everyone)
        return self._everyone


def _leave_out(viewer: Viewer, user_ids: Collection[int]) -> None:
    if viewer.shown is not None:
        viewer.shown -= digest(user_ids)


def digest(user_ids: Collection[int]) -> int:
    """Return a number for these people, in any order; subtract that of some to remove them."""
    return sum(map(hash, zip(user_ids, strict=True)))
