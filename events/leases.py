"""Which users each process holds, told over the bus, and forgotten when a process goes silent.

Each process publishes what changes in its set of users, the changes of a short while together,
with a version that counts these publications, and its version alone at every renewal. Who misses
some sees the version jump, and asks for the whole set. A process that is not heard of for a lease
is dead, and holds nobody. While the bus itself is away nobody is heard of, which proves nothing:
leases end only while it is connected.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import msgspec

from events.bus.bus import Bus, Topic

logger = logging.getLogger("parley.presence")

# A whole set is asked for, and sent, at most so often.
WHOLE_SET_SECONDS = 0.2
# A few changes are published at once; of many, what comes within so long is published together.
CHANGES_SECONDS = 0.05
CHANGES_AT_ONCE = 10
# Users of a process that went silent that are dropped in one turn of the loop.
DROPPED_AT_ONCE = 500
EVERYBODY = ""


class Changed(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """What changed in a process's set: whom it holds now, and whom no more."""

    process: str
    version: int
    held: list[int]
    released: list[int]


class Alive(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A process renews its lease."""

    process: str
    version: int


class WholeSet(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """All that a process holds."""

    process: str
    version: int
    user_ids: list[int]


class Wanted(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A process, or everybody, is asked for its whole set."""

    process: str


class Ended(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A process stops; its connections have been closed."""

    process: str


News = Changed | Alive | WholeSet | Wanted | Ended

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[News] = msgspec.msgpack.Decoder(News)


@dataclass(slots=True)
class _Peer:
    expires_at: float
    version: int | None = None  # None until its whole set has come
    user_ids: set[int] = field(default_factory=set)
    asked_at: float = 0.0


class Leases:
    """Calls `gained(user)` and `lost(user, told)` as each process begins and ends to hold a user.

    `told` says that the process that held the user is alive, and knows of the loss itself.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        lease_seconds: float,
        renewal_seconds: float,
        sweep_seconds: float,
        gained: Callable[[int], None],
        lost: Callable[[int, bool], None],
    ) -> None:
        self._bus = bus
        self._lease_seconds = lease_seconds
        self._renewal_seconds = renewal_seconds
        self._sweep_seconds = sweep_seconds
        self._gained = gained
        self._lost = lost
        self._process = uuid4().hex
        self._version = 0
        self._mine: set[int] = set()
        self._told: set[int] = set()  # what the others know of it, if nothing was lost
        self._changed: set[int] = set()  # whom to tell of
        self._telling: asyncio.Handle | None = None
        self._tell_at = 0.0
        self._peers: dict[str, _Peer] = {}
        self._told_at = 0.0
        self._ended = False
        self._tasks: list[asyncio.Task[None]] = []
        bus.subscribe(Topic.PRESENCE, self._hear)

    async def start(self) -> None:
        """Say what this process holds, ask what the others do, and keep at it."""
        self._publish_mine()
        self._publish(Wanted(EVERYBODY))
        self._tasks = [
            asyncio.create_task(self._renew(), name="lease-renewal"),
            asyncio.create_task(self._sweep(), name="lease-sweep"),
        ]

    async def close(self) -> None:
        """Tell the others that this process holds nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._telling is not None:
            self._telling.cancel()
        self._publish(Ended(self._process))
        self._ended = True  # a word after that would bring this process back, as a ghost

    def hold(self, user_id: int) -> None:
        """This process holds the user from now on."""
        self._mine.add(user_id)
        self._tell_soon(user_id)
        self._gained(user_id)

    def release(self, user_id: int) -> None:
        """This process does not hold the user any more."""
        self._mine.discard(user_id)
        self._tell_soon(user_id)
        self._lost(user_id, False)

    def _tell_soon(self, user_id: int) -> None:
        self._changed.add(user_id)
        if self._telling is None:
            loop = asyncio.get_running_loop()
            if self._tell_at <= loop.time():
                self._telling = loop.call_soon(self._tell)
            else:
                self._telling = loop.call_at(self._tell_at, self._tell)

    def _tell(self) -> None:
        """Publish what has changed; who came and went meanwhile is nothing."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        spared = self._now() - CHANGES_AT_ONCE * CHANGES_SECONDS
        self._tell_at = max(self._tell_at, spared) + CHANGES_SECONDS
        held = [id_ for id_ in self._changed if id_ in self._mine and id_ not in self._told]
        released = [id_ for id_ in self._changed if id_ in self._told and id_ not in self._mine]
        self._changed.clear()
        if held or released:
            self._told.update(held)
            self._told.difference_update(released)
            self._version += 1
            self._publish(Changed(self._process, self._version, held, released))

    def _publish(self, news: News) -> None:
        if not self._ended:
            self._bus.publish(Topic.PRESENCE, _encoder.encode(news))

    def _publish_mine(self) -> None:
        self._tell()  # so that the set is what its version says
        self._publish(WholeSet(self._process, self._version, sorted(self._mine)))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _hear(self, payload: bytes) -> None:
        try:
            news = _decoder.decode(payload)
        except msgspec.MsgspecError:
            logger.warning("Another version of Parley speaks on this bus; its presence is ignored")
            return
        if isinstance(news, Wanted):
            self._answer(news)
        elif isinstance(news, Ended):
            self._forget(news.process)
        else:
            peer = self._peers.setdefault(news.process, _Peer(0.0))
            peer.expires_at = self._now() + self._lease_seconds
            self._follow(peer, news)

    def _follow(self, peer: _Peer, news: Changed | Alive | WholeSet) -> None:
        match news:
            case WholeSet():
                self._replace(peer, set(news.user_ids))
                peer.version = news.version
            case Alive():
                if news.version != peer.version:
                    self._ask(peer, news.process)
            case Changed():
                if peer.version is None or news.version != peer.version + 1:
                    self._ask(peer, news.process)
                    return
                peer.version = news.version
                held = {*news.held} - peer.user_ids
                released = peer.user_ids.intersection(news.released)
                peer.user_ids |= held
                peer.user_ids -= released
                for user_id in held:
                    self._gained(user_id)
                for user_id in released:
                    self._lost(user_id, True)

    def _replace(self, peer: _Peer, user_ids: set[int]) -> None:
        before, peer.user_ids = peer.user_ids, user_ids
        for user_id in user_ids - before:
            self._gained(user_id)
        for user_id in before - user_ids:
            self._lost(user_id, True)

    def _forget(self, process: str) -> None:
        if (peer := self._peers.pop(process, None)) is not None:
            self._replace(peer, set())

    async def _drop(self, process: str) -> None:
        """Forget a silent process, a part of its users at a time: there may be thousands."""
        if (peer := self._peers.pop(process, None)) is None:
            return
        user_ids = [*peer.user_ids]
        for start in range(0, len(user_ids), DROPPED_AT_ONCE):
            for user_id in user_ids[start : start + DROPPED_AT_ONCE]:
                self._lost(user_id, False)
            await asyncio.sleep(0)

    def _ask(self, peer: _Peer, process: str) -> None:
        if self._now() - peer.asked_at > WHOLE_SET_SECONDS:
            peer.asked_at = self._now()
            self._publish(Wanted(process))

    def _answer(self, news: Wanted) -> None:
        if news.process not in {EVERYBODY, self._process}:
            return
        wait = self._told_at + WHOLE_SET_SECONDS - self._now()
        if wait <= 0:
            self._told_at = self._now()
            self._publish_mine()
        elif wait <= WHOLE_SET_SECONDS:
            # One is due already for those who asked since the last; it will be up to date.
            self._told_at = self._now() + wait
            asyncio.get_running_loop().call_later(wait, self._publish_mine)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._renewal_seconds)
            self._publish(Alive(self._process, self._version))

    async def _sweep(self) -> None:
        connected = self._bus.connected
        while True:
            await asyncio.sleep(self._sweep_seconds)
            was_connected, connected = connected, self._bus.connected
            if connected and not was_connected:
                # Who was silent meanwhile could not be heard: everybody gets a lease to speak up.
                for peer in self._peers.values():
                    peer.expires_at = self._now() + self._lease_seconds
                self._publish_mine()
                self._publish(Wanted(EVERYBODY))
            elif connected:
                now = self._now()
                silent = [p for p, peer in self._peers.items() if peer.expires_at < now]
                for process in silent:
                    logger.warning("A process went silent; its users are dropped")
                    await self._drop(process)
