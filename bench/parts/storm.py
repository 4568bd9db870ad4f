"""A login storm while people chat at a steady rate: does it make messages late?"""

import asyncio
from time import perf_counter

from bench.clients.chat_clients import ChatClient, GraphQLClient
from bench.clients.requests import Requests, post
from bench.parts.chat import TEXT, connect_all
from bench.sampling import Sample, latencies, no_collections
from bench.servers.seed import PASSWORD, email
from bench.servers.served import Served

USERS = 40
RATE = 500  # messages a second: what a server with room left is asked for
LOGINS_AT_ONCE = 16
WARM_UP_SECONDS = 3.0
LATE_SECONDS = 5.0


async def measure_steady(served: Served, *, seconds: float, storm: bool) -> Sample:
    """Latencies at a fixed rate of messages, while passwords are checked as fast as they can be.

    The rate does not wait for answers, and each message's time counts from when it was due: a
    server that stops for a moment is charged for all that came meanwhile.
    """
    clients = await connect_all(served, GraphQLClient, range(1, USERS + 1))
    seconds_taken: list[float] = []
    due_at: dict[int, float] = {}
    all_arrived = asyncio.Event()

    def arrived(content: str, receiver_id: int | None, client: ChatClient) -> None:
        if receiver_id == client.user_id and (due := due_at.pop(int(content[:8]), None)):
            seconds_taken.append(perf_counter() - due)
            if not due_at:
                all_arrived.set()

    logins = [_logging_in(served, number + 1) for number in range(LOGINS_AT_ONCE if storm else 0)]
    everyone: list[ChatClient | Requests] = [*clients, *logins]
    try:
        for client in clients:
            client.arrived = arrived
        for login in logins:
            await login.connect(served.host, served.port)
            login.ask()
        with no_collections():
            await _send_steadily(clients, due_at, WARM_UP_SECONDS, 0)
            seconds_taken.clear()
            for login in logins:
                login.seconds = []
            before = served.times()
            begun = perf_counter()
            sent = await _send_steadily(clients, due_at, seconds, 10_000_000)
            elapsed = perf_counter() - begun
            used = served.times().since(before)
            checked = sum(len(login.seconds) for login in logins)
        if not due_at:
            all_arrived.set()
        else:
            all_arrived.clear()
        async with asyncio.timeout(LATE_SECONDS):
            await all_arrived.wait()
        if failures := [one.failure for one in everyone if one.failure]:
            raise ConnectionError(failures[0])
    finally:
        for one in everyone:
            one.abort()
    return {
        "rate": sent / elapsed,
        "logins": checked / elapsed,
        **latencies(seconds_taken),
        "others": used.others / elapsed,
        "server_busy": used.server / elapsed,
    }


def _logging_in(served: Served, number: int) -> Requests:
    body = {"email": email(number), "password": PASSWORD}
    request = post(served, "/api/auth/login", number, body)
    return Requests(lambda: request, _check_login)


def _check_login(status: int, body: bytes) -> None:
    if status != 200 or b'"token":' not in body:
        raise ValueError(f"{status}: {body[:300]!r}")


async def _send_steadily(
    clients: list[ChatClient], due_at: dict[int, float], seconds: float, first: int
) -> int:
    """Send RATE messages a second for so long, whatever happens; return how many."""
    count = int(RATE * seconds)
    begun = perf_counter()
    for number in range(count):
        due = begun + number / RATE
        if (early := due - perf_counter()) > 0:
            await asyncio.sleep(early)
        sender = clients[number % USERS]
        due_at[first + number] = due
        sender.say(clients[(number + USERS // 2) % USERS].user_id, f"{first + number:08d} {TEXT}")
    return count
