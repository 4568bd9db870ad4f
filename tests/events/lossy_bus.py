"""A bus between several processes' parts on one loop, as lossy as a test wants it."""

import asyncio
from collections.abc import Callable, Sequence

from events.bus.bus import Handler, Subscribers, Topic

# After how many seconds each copy of a publication arrives: none when it is lost.
Fate = Callable[[Topic, bytes], Sequence[float]]


def sound(topic: Topic, payload: bytes) -> Sequence[float]:
    """Nothing is lost, late or doubled."""
    return [0]


class Network:
    """What Redis is to RedisBus; `fate` is asked for each receiver of each publication."""

    def __init__(self, fate: Fate = sound) -> None:
        self.fate = fate
        self.buses: list[LossyBus] = []
        self.said: list[tuple[Topic, bytes]] = []

    def bus(self) -> "LossyBus":
        """Return one process's bus."""
        self.buses.append(LossyBus(self))
        return self.buses[-1]


class LossyBus:
    """A bus; while it is not `connected`, or is `cut` unnoticed, it neither tells nor hears."""

    is_lone = False
    waiting = 0

    def __init__(self, network: Network) -> None:
        self._network = network
        self._subscribers = Subscribers()
        self.connected = True
        self.cut = False

    def subscribe(self, topic: Topic, handler: Handler) -> None:
        """As Bus."""
        self._subscribers.add(topic, handler)

    def publish(self, topic: Topic, payload: bytes) -> None:
        """As Bus."""
        if self.cut or not self.connected:
            return
        self._network.said.append((topic, payload))
        for other in self._network.buses:
            if other is not self:
                for delay in self._network.fate(topic, payload):
                    asyncio.get_running_loop().call_later(delay, other.hear, topic, payload)

    def hear(self, topic: Topic, payload: bytes) -> None:
        """Take what another said, or a stranger."""
        if self.connected and not self.cut:
            self._subscribers.call(topic, payload)

    async def start(self) -> None:
        """As Bus."""

    async def close(self) -> None:
        """As Bus."""
        self.connected = False
