"""Who is typing or recording: passing facts, told over the bus, and stored nowhere.

What a user does in a conversation is told at most once in REPEAT_SECONDS; what comes in between is
merged, and the latest of it is told afterwards. That a user has stopped is told at once. Nothing
that is told lasts longer than EXPIRY_SECONDS: every process ends it by its own clock, so that a
process which dies, or a bus which is away, leaves nobody typing for ever. A message of the user's
in the conversation ends it too, in every process that hands out the message.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Self

import msgspec
from msgspec.structs import replace

from events.bus.bus import Bus, Topic
from events.facts import Activity, Entry, TypingChanged
from events.presence import MOST_SHARE, MOST_WINDOW_SECONDS, WINDOW_SECONDS
from events.slices import in_slices

logger = logging.getLogger("parley.typing")

# What was told is over after so long, unless it is told again.
EXPIRY_SECONDS = 6.0
# What one user does in one conversation is told at most once in so long.
REPEAT_SECONDS = 2.0
# So many users in conversations are known to be doing something; one more ends the oldest of them.
MOST_KNOWN = 10_000
# So many changes wait for a slow reader, the latest of each user in each conversation; one more
# drops the oldest of them.
MOST_WAITING = 200

# A user and where they are: the peer of a direct conversation, or a group's id, negated.
Key = tuple[int, int]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(TypingChanged)


class _Known:
    """What was told last of a user in a conversation, and what waits to be told."""

    __slots__ = ("at", "told", "waiting")

    def __init__(self, told: TypingChanged, at: float) -> None:
        self.told = told
        self.at = at  # by the loop's clock
        self.waiting: TypingChanged | None = None


class Typing:
    """Tells the watches of this process what others do, and the other processes what is done here.

    `apart` says, live, who must not see whom. `members` says which users who are connected to this
    process are in a group.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        apart: Mapping[int, Collection[int]] | None = None,
        members: Callable[[int], Collection[int]] = lambda conversation_id: (),
    ) -> None:
        self._bus = bus
        self._apart = {} if apart is None else apart
        self._members = members
        # The one that was told last stands last. Empty, it costs a message nothing (events/feed).
        self.known: OrderedDict[Key, _Known] = OrderedDict()
        self._watches: dict[int, set[Watch]] = {}
        self._behind: dict[Watch, None] = {}  # those that have something new
        self._telling: asyncio.Task[None] | None = None
        self._tell_at = 0.0
        self._expiry: asyncio.TimerHandle | None = None
        self._warned = False
        bus.subscribe(Topic.TYPING, self._hear)

    async def close(self) -> None:
        """Tell nothing more."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        self.known.clear()
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    def watch(self, viewer_id: int) -> "Watch":
        """Watch what others do from now on in the viewer's conversations."""
        watch = Watch(viewer_id, sees=self._sees, leave=self._leave)
        self._watches.setdefault(viewer_id, set()).add(watch)
        return watch

    def change(self, change: TypingChanged) -> None:
        """Tell, here and elsewhere, what a user does now: at once, or merged with what follows."""
        key, now = _key_of(change), _now()
        known = self.known.get(key)
        if known is None or known.at + REPEAT_SECONDS <= now:
            self._publish(key, change)
            return
        if not _goes_on(change):
            known.waiting = None
            if _goes_on(known.told):
                self._publish(key, change)
        else:
            if known.waiting is None:
                wait = known.at + REPEAT_SECONDS
                asyncio.get_running_loop().call_at(wait, self._publish_waiting, key, known)
            known.waiting = change

    def end(self, message: Entry) -> None:
        """End what the message's sender was doing in its conversation."""
        peer_id, group = message.receiver_id, message.conversation_id
        self._end_of((message.sender_id, -group if peer_id is None else peer_id))

    def part(self, one: int, other: int, apart: bool) -> None:
        """End what two people do in their conversation who may not see each other from now on."""
        if apart:
            self._end_of((one, other))
            self._end_of((other, one))

    def end_all_of(self, user_id: int) -> None:
        """End what a user does anywhere: the user is invisible from now on."""
        for key in [key for key in self.known if key[0] == user_id]:
            self._end_of(key)

    def _end_of(self, key: Key) -> None:
        known = self.known.get(key)
        if known is None:
            return
        known.waiting = None
        if _goes_on(known.told):
            self._note(key, _ended(known.told))

    def _publish_waiting(self, key: Key, known: _Known) -> None:
        change, known.waiting = known.waiting, None
        if change is not None and self.known.get(key) is known:
            self._publish(key, replace(change, at=datetime.now(UTC)))

    def _publish(self, key: Key, change: TypingChanged) -> None:
        self._note(key, change)
        if not self._bus.is_lone:
            self._bus.publish(Topic.TYPING, _encoder.encode(change))

    def _hear(self, payload: bytes) -> None:
        try:
            change = _decoder.decode(payload)
        except msgspec.MsgspecError:
            if not self._warned:
                logger.warning("Another version of Parley speaks on this bus: its typing is unseen")
            self._warned = True
            return
        self._note(_key_of(change), change)

    def _note(self, key: Key, change: TypingChanged) -> None:
        """Remember what was told, so that it ends in time, and tell the watches of it."""
        before = self.known.pop(key, None)
        self.known[key] = _Known(change, _now())
        while len(self.known) > MOST_KNOWN:
            self._drop_oldest()
        if self._expiry is None:
            self._expire_later()
        if _goes_on(change) or (before is not None and _goes_on(before.told)):
            self._put(change)

    def _expire_later(self) -> None:
        oldest = next(iter(self.known.values()), None)
        if oldest is None:
            self._expiry = None
        else:
            loop = asyncio.get_running_loop()
            self._expiry = loop.call_at(oldest.at + EXPIRY_SECONDS, self._expire)

    def _expire(self) -> None:
        now = _now()
        while self.known and next(iter(self.known.values())).at + EXPIRY_SECONDS <= now:
            self._drop_oldest()
        self._expire_later()

    def _drop_oldest(self) -> None:
        _, known = self.known.popitem(last=False)
        if _goes_on(known.told):
            self._put(_ended(known.told))

    # The watches of this process.

    def _put(self, change: TypingChanged) -> None:
        if change.peer_id is not None:
            viewers: Collection[int] = (change.peer_id,)
        elif change.conversation_id is not None:
            viewers = self._members(change.conversation_id)
        else:
            return
        for viewer_id in viewers:
            for watch in self._watches.get(viewer_id, ()):
                if viewer_id != change.user_id and watch.put(change):
                    self._behind[watch] = None
        if self._behind and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell(), name="typing")

    async def _tell(self) -> None:
        """Wake the watches that are behind, window by window, until there are none."""
        while self._behind:
            await asyncio.sleep(max(0.0, self._tell_at - _now()))
            began = _now()
            behind, self._behind = [*self._behind], {}
            busy = await in_slices(behind, Watch.wake)
            wait = min(max(WINDOW_SECONDS, busy / MOST_SHARE), MOST_WINDOW_SECONDS)
            self._tell_at = max(began + wait, _now() + busy)

    def _sees(self, viewer_id: int, user_id: int) -> bool:
        """Whether the viewer may hear now that the user does something."""
        return user_id not in self._apart.get(viewer_id, ())

    def _leave(self, watch: "Watch") -> None:
        self._behind.pop(watch, None)
        watches = self._watches.get(watch.viewer_id)
        if watches is not None:
            watches.discard(watch)
            if not watches:
                del self._watches[watch.viewer_id]


class Watch:
    """What a viewer has not heard yet: the latest of each user in each conversation.

    Not a position in one list, as a watch of presence is (events/latest.py): each viewer hears of
    other conversations. That a user has stopped is told to those who heard that the user began.
    Leaving the `with` block ends the watch.
    """

    __slots__ = ("_ended", "_heard", "_leave", "_reader", "_sees", "_waiting", "viewer_id")

    def __init__(
        self,
        viewer_id: int,
        *,
        sees: Callable[[int, int], bool],
        leave: Callable[["Watch"], None],
    ) -> None:
        self.viewer_id = viewer_id
        self._sees = sees
        self._leave = leave
        self._ended = False
        self._waiting: dict[Key, TypingChanged] = {}
        self._heard: set[Key] = set()  # what goes on, as far as the viewer knows
        self._reader: asyncio.Future[None] | None = None  # while it waits

    def put(self, change: TypingChanged) -> bool:
        """Have the change read, in place of an earlier one of the same user in the same place.

        Return whether there is something to read.
        """
        key = _key_of(change)
        before = self._waiting.pop(key, None)
        if not (before or key in self._heard or self._sees(self.viewer_id, change.user_id)):
            return False
        self._waiting[key] = change
        if len(self._waiting) > MOST_WAITING:
            dropped = next(iter(self._waiting))
            del self._waiting[dropped]
            self._heard.discard(dropped)
        return True

    def _take(self) -> Sequence[TypingChanged]:
        """Return the changes that wait and that the viewer may see now."""
        waiting, self._waiting = self._waiting, {}
        shown = []
        for key, change in waiting.items():
            if not _goes_on(change):
                if key not in self._heard:
                    continue
                self._heard.discard(key)
            elif self._sees(self.viewer_id, change.user_id):
                self._heard.add(key)
            else:
                continue
            shown.append(change)
        return shown

    def deliver(self, item: object, size: int) -> None:
        """As Sink: what is typed is told without the hub."""

    def interrupt(self) -> None:
        """As Sink: the session has ended. Have the reader end."""
        self._ended = True
        self.wake()

    def wake(self) -> None:
        """Have a waiting reader read the changes there are."""
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(self)

    async def __aiter__(self) -> AsyncIterator[Sequence[TypingChanged]]:
        """Yield the changes that wait, at each `wake`, until it is interrupted."""
        while not self._ended:
            while self._waiting:
                if shown := self._take():
                    yield shown
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None


def _key_of(change: TypingChanged) -> Key:
    if change.peer_id is not None:
        return change.user_id, change.peer_id
    return change.user_id, -(change.conversation_id or 0)


def _goes_on(change: TypingChanged) -> bool:
    return change.activity is not Activity.NONE


def _ended(change: TypingChanged) -> TypingChanged:
    return replace(change, activity=Activity.NONE, at=datetime.now(UTC))


def _now() -> float:
    return asyncio.get_running_loop().time()
