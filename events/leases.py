"""Which users each process holds, told over the bus, and forgotten when a process goes silent.

Each process publishes what changes in its set of users, with a version that counts the changes,
and its version alone at every renewal. Who misses a change sees the version jump and asks for the
whole set. A process that is not heard of for a lease is dead, and holds nobody. While the bus
itself is away nobody is heard of, which proves nothing: leases end only while it is connected.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import msgspec

from events.bus import Bus, Topic

logger = logging.getLogger("parley.presence")

# A whole set is asked for, and sent, at most so often.
WHOLE_SET_SECONDS = 0.2
EVERYBODY = ""


class Held(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A process holds one more user."""

    process: str
    version: int
    user_id: int


class Released(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A process holds one user less."""

    process: str
    version: int
    user_id: int


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


News = Held | Released | Alive | WholeSet | Wanted | Ended

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
        self._publish(Ended(self._process))
        self._ended = True  # a word after that would bring this process back, as a ghost

    def hold(self, user_id: int) -> None:
        """This process holds the user from now on."""
        self._mine.add(user_id)
        self._version += 1
        self._publish(Held(self._process, self._version, user_id))
        self._gained(user_id)

    def release(self, user_id: int) -> None:
        """This process does not hold the user any more."""
        self._mine.discard(user_id)
        self._version += 1
        self._publish(Released(self._process, self._version, user_id))
        self._lost(user_id, False)

    def _publish(self, news: News) -> None:
        if not self._ended:
            self._bus.publish(Topic.PRESENCE, _encoder.encode(news))

    def _publish_mine(self) -> None:
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
            self._forget(news.process, told=True)
        else:
            peer = self._peers.setdefault(news.process, _Peer(0.0))
            peer.expires_at = self._now() + self._lease_seconds
            self._follow(peer, news)

    def _follow(self, peer: _Peer, news: Held | Released | Alive | WholeSet) -> None:
        match news:
            case WholeSet():
                self._replace(peer, set(news.user_ids))
                peer.version = news.version
            case Alive():
                if news.version != peer.version:
                    self._ask(peer, news.process)
            case Held() | Released():
                if peer.version is None or news.version != peer.version + 1:
                    self._ask(peer, news.process)
                    return
                peer.version = news.version
                if isinstance(news, Held):
                    peer.user_ids.add(news.user_id)
                    self._gained(news.user_id)
                else:
                    peer.user_ids.discard(news.user_id)
                    self._lost(news.user_id, True)

    def _replace(self, peer: _Peer, user_ids: set[int], *, told: bool = True) -> None:
        before, peer.user_ids = peer.user_ids, user_ids
        for user_id in user_ids - before:
            self._gained(user_id)
        for user_id in before - user_ids:
            self._lost(user_id, told)

    def _forget(self, process: str, *, told: bool) -> None:
        if (peer := self._peers.pop(process, None)) is not None:
            self._replace(peer, set(), told=told)

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
                    self._forget(process, told=False)
