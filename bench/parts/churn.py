"""Mixed load whose connections come and go: whether the server's memory levels off."""

import asyncio
import random
from time import perf_counter

import httpx

from bench.clients.chat_clients import GraphQLClient, SocketIOClient
from bench.servers.served import Served, sign_token

USERS = 400
WORKERS = 16
PAGE = "{ messages(last: 20) { edges { node { id content } } } }"
REFUSED = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "too short",
}


async def measure_churn(served: Served, *, seconds: float, every: float) -> list[tuple[int, float]]:
    """Return how often something was done so far, and MB of memory then, from time to time."""
    done = 0
    end = perf_counter() + seconds

    async def work(number: int) -> None:
        nonlocal done
        dice = random.Random(number)  # noqa: S311  # the same load each time
        url = f"http://{served.host}:{served.port}"
        while perf_counter() < end:
            user = dice.randrange(USERS) + 1
            kind = dice.randrange(10)
            if kind < 6:
                client = (GraphQLClient if kind < 3 else SocketIOClient)(user)
                await client.connect(served.host, served.port)
                for _ in range(3):
                    client.say(dice.randrange(USERS) + 1, "a message " * 5)
                await asyncio.sleep(dice.random() * 0.2)
                client.abort()
            else:
                headers = {"Authorization": f"Bearer {sign_token(user)}"}
                async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
                    if kind == 6:
                        files = {"file": ("a.txt", b"some text " * 1000)}
                        (await http.post("/api/uploads", files=files)).raise_for_status()
                    elif kind == 7:
                        refused = await http.get("/graphql", headers=REFUSED)
                        assert refused.status_code == 400, refused.text  # noqa: S101  # of a bench
                    elif kind == 8:
                        await http.post("/graphql", json={"query": f"{{ nonsense{done} }}"})
                    else:
                        page = await http.post("/graphql", json={"query": PAGE})
                        page.raise_for_status()
            done += 1

    async def look() -> list[tuple[int, float]]:
        curve = []
        while perf_counter() < end:
            curve.append((done, served.resident_bytes() / 2**20))
            await asyncio.sleep(every)
        return curve

    async with asyncio.TaskGroup() as group:
        curve = group.create_task(look())
        for number in range(WORKERS):
            group.create_task(work(number))
    return curve.result()
