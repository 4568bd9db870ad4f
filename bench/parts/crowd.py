"""A crowd that hears every broadcast: how long the last waits, and what one broadcast costs."""

import asyncio
from time import perf_counter

from bench.clients.chat_clients import ChatClient
from bench.parts.chat import connect_all
from bench.sampling import SECOND_MS, SECOND_US, Sample, no_collections, percentile
from bench.servers.served import Served

AT_ONCE = 50
# Ten connections a user: Socket.IO's list of those online is out of the way before it begins.
USERS = 500
BROADCASTS = 25
WARM_UP = 5
QUIET_SECONDS = 4.0
HEAR_SECONDS = 30.0


async def measure_broadcasts(served: Served, kind: type[ChatClient], connections: int) -> Sample:
    """Broadcast one message after the other, each once the last of all connections has the last."""
    users = (number % USERS + 1 for number in range(connections))
    clients = await connect_all(served, kind, users, at_once=AT_ONCE)
    heard, everyone = 0, asyncio.Event()

    def arrived(content: str, receiver_id: int | None, client: ChatClient) -> None:
        nonlocal heard
        heard += 1
        if heard == connections:
            everyone.set()

    async def broadcast(text: str) -> float:
        nonlocal heard
        heard = 0
        everyone.clear()
        begun = perf_counter()
        clients[0].say(None, text)
        async with asyncio.timeout(HEAR_SECONDS):
            await everyone.wait()
        return perf_counter() - begun

    try:
        for client in clients:
            client.arrived = arrived
        await asyncio.sleep(QUIET_SECONDS)
        with no_collections():
            for number in range(WARM_UP):
                await broadcast(f"warming up {number}")
            before = served.times()
            taken = [await broadcast(f"Hello everybody, {number}") for number in range(BROADCASTS)]
            used = served.times().since(before)
    finally:
        for client in clients:
            client.abort()
    return {
        "last_p50_ms": percentile(taken, 0.5) * SECOND_MS,
        "last_p99_ms": percentile(taken, 0.99) * SECOND_MS,
        "broadcast_ms": used.server / BROADCASTS * SECOND_MS,
        "each_us": used.server / BROADCASTS / connections * SECOND_US,
        "load_ms": used.load / BROADCASTS * SECOND_MS,
    }
