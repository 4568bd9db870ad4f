"""How many of each key every process has, told over the bus as far as a limit needs it.

All together reach a limit only if one of them has its share: the limit by their number. So each
tells of the keys of which it, or another, has a share; in ordinary times of none. It tells of all
of these anew at every renewal: what was lost on the way is right by then, and a process that is
not heard of for a lease is dead, and has nothing. While the bus is away each goes by its own
alone: what others once had must refuse nobody.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import msgspec

from events.bus.bus import Bus, Topic

logger = logging.getLogger("parley.tallies")

# The others know of a change after that, or twice that if they had told of nothing yet.
SHARE_SECONDS = 0.1
RENEWAL_SECONDS = 1.0
LEASE_SECONDS = 3.0

Key = str | int


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What a process tells of: all of it, or what has changed; 0 is what it tells of no more."""

    process: str
    whole: bool
    counts: dict[Key, int]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Told)


@dataclass(slots=True)
class _Peer:
    heard_at: float
    counts: dict[Key, int] = field(default_factory=dict)


class Tallies:
    """Counts keys here, and adds what the others have of those near their limit.

    `limit_of` says how many there may be of a key, in all processes; None for any number.
    """

    def __init__(self, bus: Bus, *, limit_of: Callable[[Key], int | None]) -> None:
        self._bus = bus
        self._limit_of = limit_of
        self._process = uuid4().hex
        self._own: Counter[Key] = Counter()
        self._others: Counter[Key] = Counter()  # the sum over the peers
        self._peers: dict[str, _Peer] = {}
        self._told: dict[Key, int] = {}
        self._changed: set[Key] = set()
        self._anew = False  # whether all is to be told, not what has changed alone
        self._telling: asyncio.TimerHandle | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._warned = False
        self._ended = False
        bus.subscribe(Topic.TALLIES, self._hear)

    def __len__(self) -> int:
        """Return how many keys this process has something of."""
        return len(self._own)

    def count(self, key: Key) -> int:
        """Return how many there are; below the limit, some of the others may not be known."""
        own = self._own.get(key, 0)
        return own + self._others.get(key, 0) if self._others and self._bus.connected else own

    def change(self, key: Key, by: int) -> None:
        """This process has so many more, or less."""
        self._own[key] += by
        if not self._own[key]:
            del self._own[key]
        if self._peers:
            self._tell_soon((key,))

    async def start(self) -> None:
        """Tell the others, and keep at it."""
        self._keeper = asyncio.create_task(self._keep(), name="tallies")

    async def close(self) -> None:
        """Tell the others that this process has nothing any more."""
        if self._telling is not None:
            self._telling.cancel()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._publish(whole=True, counts={})
        self._ended = True  # a word after that would bring this process back, as a ghost

    async def _keep(self) -> None:
        while True:
            gone: Iterable[str] = [*self._peers]
            if self._bus.connected:
                now = asyncio.get_running_loop().time()
                gone = [p for p in gone if self._peers[p].heard_at + LEASE_SECONDS < now]
                self._publish(whole=True, counts=self._told)
            self._forget(gone)
            await asyncio.sleep(RENEWAL_SECONDS)

    def _forget(self, processes: Iterable[str]) -> None:
        for process in processes:
            peer = self._peers[process]
            self._follow(peer, dict.fromkeys(peer.counts, 0))
            del self._peers[process]
            self._tell_soon(self._own)  # the shares are others

    def _hear(self, payload: bytes) -> None:
        try:
            told = _decoder.decode(payload)
        except msgspec.MsgspecError:
            if not self._warned:
                logger.warning("Another version of Parley speaks on this bus; it is not counted")
            self._warned = True
            return
        now = asyncio.get_running_loop().time()
        peer = self._peers.get(told.process)
        if peer is None:
            peer = self._peers[told.process] = _Peer(now)
            self._anew = True  # it has heard nothing yet
            self._tell_soon(self._own)  # the shares are others
        peer.heard_at = now
        missing = peer.counts.keys() - told.counts.keys() if told.whole else ()
        self._follow(peer, {**told.counts, **dict.fromkeys(missing, 0)})

    def _follow(self, peer: _Peer, counts: Mapping[Key, int]) -> None:
        for key, count in counts.items():
            self._others[key] += count - peer.counts.pop(key, 0)
            if not self._others[key]:
                del self._others[key]
            if count:
                peer.counts[key] = count
        self._tell_soon(counts.keys() & self._own.keys())

    def _tell_soon(self, keys: Iterable[Key]) -> None:
        self._changed.update(keys)
        if self._telling is None and (self._changed or self._anew):
            loop = asyncio.get_running_loop()
            self._telling = loop.call_later(SHARE_SECONDS, self._tell)

    def _tell(self) -> None:
        self._telling = None
        news: dict[Key, int] = {}
        for key in self._changed:
            count = self._own.get(key, 0) if self._is_near(key) else 0
            if count != self._told.get(key, 0):
                news[key] = self._told[key] = count
                if not count:
                    del self._told[key]
        self._changed.clear()
        if self._anew:
            self._publish(whole=True, counts=self._told)
        elif news:
            self._publish(whole=False, counts=news)
        self._anew = False

    def _is_near(self, key: Key) -> bool:
        limit = self._limit_of(key)
        if limit is None:
            return False
        processes = 1 + len(self._peers)
        if self._own.get(key, 0) * processes >= limit:
            return True
        return key in self._others and any(
            peer.counts.get(key, 0) * processes >= limit for peer in self._peers.values()
        )

    def _publish(self, *, whole: bool, counts: dict[Key, int]) -> None:
        if not self._ended:
            told = Told(self._process, whole, counts)
            self._bus.publish(Topic.TALLIES, _encoder.encode(told))
