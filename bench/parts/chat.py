"""The chat workload: pairs of users with messages in flight, over either protocol."""

import asyncio
from collections.abc import Iterable, Sequence
from time import perf_counter

from bench.clients.chat_clients import ChatClient
from bench.sampling import Sample, costs, latencies, no_collections, window
from bench.servers.served import Served

PAIRS = 20
IN_FLIGHT = 4
SETTLE_SECONDS = 0.3
DRAIN_SECONDS = 15.0
TEXT = "See you at the station at half past seven"


class _Slot:
    """One message in flight: from whom, to whom, and when the one on its way was sent."""

    __slots__ = ("number", "receiver_id", "sender", "sent_at")

    def __init__(self, sender: ChatClient, receiver_id: int) -> None:
        self.sender = sender
        self.receiver_id = receiver_id
        self.number = 0
        self.sent_at = 0.0


class Chat:
    """A closed loop: each slot sends its next message when the receiver got the last.

    Half of a pair's slots go one way, half the other. What arrives twice, or not at all, or is not
    echoed to its sender, or not acknowledged, is an error, not a number.
    """

    def __init__(self, clients: Sequence[ChatClient]) -> None:
        self._clients = clients
        self._slots: list[_Slot] = []
        for one, other in zip(clients[::2], clients[1::2], strict=True):
            for turn in range(IN_FLIGHT):
                sender, receiver = (one, other) if turn % 2 == 0 else (other, one)
                self._slots.append(_Slot(sender, receiver.user_id))
        for client in clients:
            client.arrived = self._arrived
        self._stopping = False
        self._open = len(self._slots)
        self._drained = asyncio.Event()
        self.echoed = 0
        self.delivered = 0
        self.seconds: list[float] = []

    def start(self) -> None:
        """Send the first messages."""
        for index in range(len(self._slots)):
            self._send(index)

    def forget(self) -> None:
        """Begin to count."""
        self.seconds = []

    def check(self) -> None:
        """Raise what has happened to a connection."""
        for client in self._clients:
            if client.failure:
                raise ConnectionError(f"user {client.user_id}: {client.failure}")

    async def finish(self) -> None:
        """Send no more, and see that all that was sent arrived everywhere."""
        self._stopping = True
        async with asyncio.timeout(DRAIN_SECONDS):
            await self._drained.wait()
            while True:
                sent = sum(client.sent for client in self._clients)
                acknowledged = sum(client.acknowledged for client in self._clients)
                if sent == acknowledged == self.delivered == self.echoed:
                    return
                self.check()
                await asyncio.sleep(0.05)

    def _send(self, index: int) -> None:
        slot = self._slots[index]
        slot.number += 1
        slot.sent_at = perf_counter()
        slot.sender.say(slot.receiver_id, f"{index:05d} {slot.number:08d} {TEXT}")

    def _arrived(self, content: str, receiver_id: int | None, client: ChatClient) -> None:
        if receiver_id != client.user_id:
            self.echoed += 1
            return
        index = int(content[:5])
        slot = self._slots[index]
        self.seconds.append(perf_counter() - slot.sent_at)
        if int(content[6:14]) != slot.number or slot.receiver_id != receiver_id:
            client.fail(f"a message twice or to the wrong user: {content!r}")
        self.delivered += 1
        if self._stopping:
            self._open -= 1
            if not self._open:
                self._drained.set()
        else:
            self._send(index)


async def connect_all(
    served: Served, kind: type[ChatClient], users: Iterable[int], *, at_once: int = 16
) -> list[ChatClient]:
    """A connection of each of these users, authenticated and listening."""
    free = asyncio.Semaphore(at_once)

    async def connect(user_id: int) -> ChatClient:
        async with free:
            return await kind(user_id).connect(served.host, served.port)

    async with asyncio.TaskGroup() as group:
        connecting = [group.create_task(connect(user)) for user in users]
    return [task.result() for task in connecting]


async def measure_chat(
    served: Served, kind: type[ChatClient], *, warm_up: float, seconds: float
) -> Sample:
    """Messages a second, what each costs, and how long it takes to its receiver."""
    clients = await connect_all(served, kind, range(1, 2 * PAIRS + 1))
    try:
        chat = Chat(clients)
        await asyncio.sleep(SETTLE_SECONDS)
        with no_collections():
            chat.start()
            await asyncio.sleep(warm_up)
            used, elapsed = await window(served, seconds, chat.forget, chat.check)
            taken = chat.seconds
            chat.forget()
        await chat.finish()
    finally:
        for client in clients:
            client.abort()
    return {**costs(used, len(taken), elapsed), **latencies(taken)}
