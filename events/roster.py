"""What each process holds, told over the bus: `{process: {key: number}}`, one table for all.

A key is a user or a name. A user is online while any process holds the user. A name (an address,
a user's connections) has a limit that holds for all processes together. A process publishes its
changes, those of a short while together, with a version that counts these publications. At every
renewal it publishes the version alone. A process that misses a change sees the version jump, and
asks for all keys.

All processes together reach a limit only if one of them has its share: the limit divided by the
number of processes. So a process publishes the number of a name only where it has its share, and
the sum is exact where it matters. Of a user it publishes only that it holds the user.

Silence is judged twice. After three renewals a process counts for no limit: old numbers must
refuse nobody. After a lease it is dead, and its users are dropped. While the bus is away no process
can be heard: limits go by this process's own numbers, and no lease ends.

That is why the connections of user 7 have two keys: 7, for presence, lasts for a lease, and `#7`,
for the limit, is a number of connections and ends with the third renewal.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated
from uuid import uuid4

import msgspec

from events.bus.bus import Bus, Topic
from events.roster_table import Key, OtherProcess, Table

logger = logging.getLogger("parley.roster")

# A few changes are published at once. Of many, those of so long are published together.
CHANGES_SECONDS = 0.05
CHANGES_AT_ONCE = 10
# A process asks for all keys of another, and publishes all of its own, at most so often.
STATEMENT_SECONDS = 0.2
# A process that was silent for so many renewals counts for no limit.
SILENT_RENEWALS = 3
# So many users of a silent process are dropped in one turn of the loop.
DROPPED_AT_ONCE = 500
EVERYBODY = b""

Count = Annotated[int, msgspec.Meta(ge=0)]


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What a process publishes (process to processes): a change, all it holds, or that it lives."""

    process: bytes
    version: Count  # after this publication
    whole: bool  # whether `keys` is all that it holds; else what changed since the last version
    keys: dict[Count, list[Key]]  # by their number; 0 is held no more
    asks: bytes | None = None  # the process that shall publish all it holds, or EVERYBODY
    ends: bool = False  # the process stops; its connections have been closed


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Told)


class Roster:
    """Counts keys of this process, and knows what the others hold."""

    def __init__(
        self,
        bus: Bus,
        *,
        lease_seconds: float = 60,
        renewal_seconds: float = 1,
        sweep_seconds: float = 5,
    ) -> None:
        self._bus = bus
        self._lease_seconds = lease_seconds
        self._renewal_seconds = renewal_seconds
        self._sweep_seconds = sweep_seconds
        self._limit_of: Callable[[str], int | None] = lambda name: None
        self._process = uuid4().bytes
        self._version = 0
        self._table = Table()
        self._told: dict[Key, int] = {}  # what the others know of it, if nothing was lost
        self._changed: set[Key] = set()  # what to look at when it is told
        self._telling: asyncio.Handle | None = None
        self._tell_at = 0.0
        self._stated_at = 0.0
        self._connected = bus.connected
        self._looked_at = 0.0
        self._warned = False
        self._ended = False
        self._tasks: list[asyncio.Task[None]] = []
        bus.subscribe(Topic.ROSTER, self._hear)

    def follow_users(self, came: Callable[[int], None], went: Callable[[int, bool], None]) -> None:
        """Call `came(user)` when a first process holds a user, `went(user, told)` when none does.

        `told` says that the last process to hold the user is alive, and knows of the loss itself.
        """
        self._table.came, self._table.went = came, went

    def limit_names(self, limit_of: Callable[[str], int | None]) -> None:
        """Ask how many there may be of a name, in all processes; None for any number."""
        self._limit_of = limit_of

    async def start(self) -> None:
        """Say what this process holds, ask what the others do, and keep at it."""
        self._connected, self._looked_at = self._bus.connected, self._now()
        self._state(asks=EVERYBODY)
        self._tasks = [
            asyncio.create_task(self._renew(), name="roster-renewal"),
            asyncio.create_task(self._sweep(), name="roster-sweep"),
        ]

    async def close(self) -> None:
        """Tell the others that this process holds nothing any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._telling is not None:
            self._telling.cancel()
        self._publish({}, ends=True)
        self._ended = True  # a word after that would bring this process back, as a ghost

    def __len__(self) -> int:
        """Return how many keys this process holds."""
        return len(self._table.own)

    @property
    def online(self) -> int:
        """How many users any process holds."""
        return len(self._table.holders)

    @property
    def processes(self) -> int:
        """How many processes are heard, this one included."""
        return self._table.processes

    @property
    def own_users(self) -> list[int]:
        """The users whom this process holds."""
        return [key for key in self._table.own if isinstance(key, int)]

    def own(self, key: Key) -> int:
        """Return how many this process holds."""
        return self._table.own.get(key, 0)

    def holders(self, user_id: int) -> int:
        """Return how many processes hold the user."""
        return self._table.holders.get(user_id, 0)

    def count(self, name: str) -> int:
        """Return how many there are; below the limit, some of the others may not be known."""
        own, others = self._table.own.get(name, 0), self._table.others
        return own + others.get(name, 0) if others and self._bus.connected else own

    def change(self, key: Key, by: int) -> None:
        """This process holds so many more, or less."""
        self._table.change(key, by)
        self._tell_soon(key)

    # What this process tells.

    def _tell_soon(self, key: Key) -> None:
        if self._public(key) == self._told.get(key, 0):
            return  # also after a change that was not told yet, and was taken back
        self._changed.add(key)
        if self._telling is None:
            loop = asyncio.get_running_loop()
            if self._tell_at <= loop.time():
                self._telling = loop.call_soon(self._tell)
            else:
                self._telling = loop.call_at(self._tell_at, self._tell)

    def _public(self, key: Key) -> int:
        """Return what the others need to know of a key."""
        own = self._table.own.get(key, 0)
        if isinstance(key, int):
            return min(own, 1)
        limit = self._limit_of(key) if own else None
        return own if limit is not None and self._table.have_share(key, limit) else 0

    def _tell(self) -> None:
        """Publish what has changed; what came and went meanwhile is nothing."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        news: dict[Key, int] = {}
        for key in self._changed:
            count = self._public(key)
            if count != self._told.get(key, 0):
                news[key] = self._told[key] = count
                if not count:
                    del self._told[key]
        self._changed.clear()
        if news:
            spared = self._now() - CHANGES_AT_ONCE * CHANGES_SECONDS
            self._tell_at = max(self._tell_at, spared) + CHANGES_SECONDS
            self._version += 1
            self._publish(news)

    def _state(self, *, asks: bytes | None = None) -> None:
        """Publish all that this process holds and others need to know."""
        self._tell()  # so that it is what its version says
        self._publish(self._told, whole=True, asks=asks)

    def _publish(
        self,
        counts: Mapping[Key, int],
        *,
        whole: bool = False,
        asks: bytes | None = None,
        ends: bool = False,
    ) -> None:
        if self._ended:
            return
        keys: dict[int, list[Key]] = {}
        for key, count in counts.items():
            keys.setdefault(count, []).append(key)
        told = Told(self._process, self._version, whole, keys, asks, ends)
        self._bus.publish(Topic.ROSTER, _encoder.encode(told))

    # What the others tell.

    def _hear(self, payload: bytes) -> None:
        try:
            told = _decoder.decode(payload)
        except msgspec.MsgspecError:
            if not self._warned:
                logger.warning(
                    "Another version of Parley speaks on this bus; its users are not online here,"
                    " and its connections are not counted"
                )
            self._warned = True
            return
        if told.ends:
            self._forget(told.process)
            return
        now = self._now()
        peer = self._table.peers.setdefault(told.process, OtherProcess(now, now))
        peer.heard_at, peer.expires_at = now, now + self._lease_seconds
        self._follow(peer, told)
        if told.asks in (EVERYBODY, self._process):
            self._answer()

    def _follow(self, peer: OtherProcess, told: Told) -> None:
        """Take over what is new to this process; what comes late or twice says nothing."""
        known = peer.version
        if known is None or told.version > known:
            is_next = known is not None and told.keys and told.version == known + 1
            if not (told.whole or is_next):
                self._ask(peer, told.process)
                return
            news = {key: count for count, keys in told.keys.items() for key in keys}
            if told.whole:
                news.update(dict.fromkeys(peer.counts.keys() - news.keys(), 0))
            peer.version = told.version
            self._apply(peer, news, told=True)
        if told.version == peer.version and not peer.counted:
            self._table.count_in(peer)
            self._share_anew()

    def _apply(self, peer: OtherProcess, news: Mapping[Key, int], *, told: bool) -> None:
        self._table.apply(peer, news, told=told)
        for key in news:
            if isinstance(key, str):
                self._tell_soon(key)

    def _count_out(self, peers: Iterable[OtherProcess]) -> None:
        if self._table.count_out(peers):
            self._share_anew()

    def _share_anew(self) -> None:
        """Look at all names: of another number of processes each has another share."""
        for key in self._table.own:
            if isinstance(key, str):
                self._tell_soon(key)

    def _forget(self, process: bytes) -> None:
        if (peer := self._table.peers.pop(process, None)) is not None:
            self._count_out([peer])
            self._apply(peer, dict.fromkeys(peer.counts, 0), told=True)

    async def _drop(self, process: bytes) -> None:
        """Forget a silent process, a part of its users at a time: there may be thousands."""
        if (peer := self._table.peers.pop(process, None)) is None:
            return
        self._count_out([peer])
        keys = [*peer.counts]
        for start in range(0, len(keys), DROPPED_AT_ONCE):
            part = keys[start : start + DROPPED_AT_ONCE]
            self._apply(peer, dict.fromkeys(part, 0), told=False)
            await asyncio.sleep(0)

    def _ask(self, peer: OtherProcess, process: bytes) -> None:
        if self._now() - peer.asked_at > STATEMENT_SECONDS:
            peer.asked_at = self._now()
            self._publish({}, asks=process)

    def _answer(self) -> None:
        wait = self._stated_at + STATEMENT_SECONDS - self._now()
        if wait <= 0:
            self._stated_at = self._now()
            self._state()
        elif wait <= STATEMENT_SECONDS:
            # One is due already for those who asked since the last; it will be up to date.
            self._stated_at = self._now() + wait
            asyncio.get_running_loop().call_later(wait, self._state)

    # Life and death.

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._renewal_seconds)
            self._look_around()
            if self._connected:
                self._publish({})

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_seconds)
            self._look_around()
            now = self._now()
            dead = [p for p, peer in self._table.peers.items() if peer.expires_at < now]
            for process in dead if self._connected else ():
                logger.warning("A process went silent; its users are dropped")
                await self._drop(process)

    def _look_around(self) -> None:
        """Notice that the bus went or came back, and who has been silent for too long."""
        now, was_connected = self._now(), self._connected
        # A process that stood still for so long has heard nobody, as if the bus had been away.
        stood_still = now - self._looked_at > (self._lease_seconds + self._renewal_seconds) / 2
        self._connected, self._looked_at = self._bus.connected, now
        silent_since = now - SILENT_RENEWALS * self._renewal_seconds
        self._count_out(
            peer
            for peer in self._table.peers.values()
            if not self._connected or peer.heard_at < silent_since
        )
        if self._connected and (stood_still or not was_connected):
            # Everybody gets a lease to speak up.
            for peer in self._table.peers.values():
                peer.expires_at = now + self._lease_seconds
            self._state(asks=EVERYBODY)
