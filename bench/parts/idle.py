"""Idle connections: how fast they come in, and the memory each takes."""

import asyncio
from time import perf_counter

from bench.clients.chat_clients import ChatClient
from bench.parts.chat import connect_all
from bench.sampling import SECOND_US, Sample
from bench.servers.served import Served

CONNECTIONS = 2000
# First some that are not counted: code is loaded, tables are made, the heap has its first size.
FIRST = 100
AT_ONCE = 50
WARM_UP_SECONDS = 1.0
# Longer than both servers wait with the list of those online that follows so many arrivals.
QUIET_SECONDS = 5.0
USERS = FIRST + CONNECTIONS
KILOBYTE = 1000


async def measure_idle(served: Served, kind: type[ChatClient]) -> Sample:
    """Connections a second, each authenticated and listening; then memory once all is quiet."""
    clients: list[ChatClient] = []
    try:
        clients += await connect_all(served, kind, range(1, FIRST + 1), at_once=AT_ONCE)
        await asyncio.sleep(WARM_UP_SECONDS)
        memory, before = served.resident_bytes(), served.times()
        begun = perf_counter()
        clients += await connect_all(served, kind, range(FIRST + 1, USERS + 1), at_once=AT_ONCE)
        elapsed = perf_counter() - begun
        used = served.times().since(before)
        await asyncio.sleep(QUIET_SECONDS)
        grown = served.resident_bytes() - memory
        for client in clients:
            if client.failure:
                raise ConnectionError(client.failure)
    finally:
        for client in clients:
            client.abort()
    return {
        "connects": CONNECTIONS / elapsed,
        "kilobytes": grown / CONNECTIONS / KILOBYTE,
        "server_us": used.server / CONNECTIONS * SECOND_US,
        "others": used.others / elapsed,
        "load_us": used.load / CONNECTIONS * SECOND_US,
    }
