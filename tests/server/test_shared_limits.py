"""Limits across two worker processes and one Redis, which is killed meanwhile."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.faults.processes import REDIS_AWAY, Parley, parleys
from tests.support.mariadb import MariaDB
from tests.support.redis import Redis, redis_server

GOOD = "123456"
PATIENCE_SECONDS = 15
OWNER, ATTACKER = "203.0.113.1", "198.51.100.2"


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A private Redis; skips where there is none."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def workers(
    mariadb: MariaDB, redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Parley]:
    """Two workers with the limits on, behind a proxy on this machine."""
    settings: dict[str, Any] = {
        "database_url": mariadb.url("sharedlimits"),
        "redis_url": redis.url,
        "limits": "on",
        "sends_per_user": "20/minute",
        "trusted_proxies": "127.0.0.1",
    }
    directory = tmp_path_factory.mktemp("workers")
    with parleys(directory, workers=2, allowed=(REDIS_AWAY,), **settings) as [parley]:
        yield parley


async def post(parley: Parley, path: str, body: Any, **headers: str) -> httpx.Response:
    """Ask on a connection of its own: the workers take these in turn."""
    async with httpx.AsyncClient(base_url=parley.url, headers=headers, timeout=20) as http:
        return await http.post(path, json=body)


async def register(parley: Parley) -> str:
    """Make an account, from an address of its own; return its e-mail."""
    email = f"{uuid4().hex}@example.com"
    body = {"email": email, "password": GOOD, "displayName": "x"}
    address = f"2001:db8:{email[:4]}:{email[4:8]}::1"
    answer = await post(parley, "/api/auth/register", body, **{"X-Forwarded-For": address})
    assert answer.status_code == 200, answer.text
    return email


async def log_in(parley: Parley, address: str, email: str, password: str = GOOD) -> httpx.Response:
    body = {"email": email, "password": password}
    return await post(parley, "/api/auth/login", body, **{"X-Forwarded-For": address})


async def guess(parley: Parley, email: str, times: int, *, address: str = ATTACKER) -> list[int]:
    answers = [await log_in(parley, address, email, f"no {number}") for number in range(times)]
    return [answer.status_code for answer in answers]


async def test_guesses_are_counted_across_processes_and_lock_nobody_else_out(
    workers: Parley,
) -> None:
    email = await register(workers)
    assert await guess(workers, email, 10) == [400] * 6 + [429] * 4
    stop = asyncio.Event()

    async def hammer() -> list[int]:
        statuses = []
        while not stop.is_set():
            statuses += await guess(workers, email, 1)
        return statuses

    hammering = [asyncio.create_task(hammer()) for _ in range(4)]
    for _ in range(10):
        answer = await log_in(workers, OWNER, email)
        assert answer.status_code == 200, answer.text
    stop.set()
    refused = [status for statuses in await asyncio.gather(*hammering) for status in statuses]
    assert set(refused) == {429}


async def test_sends_are_counted_across_processes(workers: Parley) -> None:
    token = (await log_in(workers, OWNER, await register(workers))).json()["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    statuses: list[int] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while statuses[-4:] != [429] * 4:
            sends = [
                post(workers, "/api/messages/send", {"content": "x"}, **bearer) for _ in range(4)
            ]
            statuses += [answer.status_code for answer in await asyncio.gather(*sends)]
            await asyncio.sleep(0.4)  # what one takes, the other hears of within that
    # Two that knew nothing of each other would take 40.
    assert set(statuses) == {201, 429}
    assert 20 <= statuses.count(201) <= 28


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_without_redis_logins_go_on_and_are_limited_by_each_process(
    workers: Parley, redis: Redis, how: str
) -> None:
    email, other = await register(workers), await register(workers)
    await asyncio.to_thread(redis.kill if how == "killed" else redis.pause)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            statuses = await guess(workers, email, 16)
            assert (await log_in(workers, OWNER, email)).status_code == 200
        assert set(statuses) == {400, 429}
        assert statuses.count(400) == 12  # six in each
    finally:
        await asyncio.to_thread(redis.start if how == "killed" else redis.resume)

    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            # By themselves they count together again: an account and an address for each try.
            address = f"2001:db8:0:{uuid4().hex[:4]}::1"
            counted = await guess(workers, await register(workers), 8, address=address)
            assert set(counted) <= {400, 429}
            if counted == [400] * 6 + [429] * 2:
                break
    assert (await log_in(workers, OWNER, other)).status_code == 200
    assert workers.complaints(REDIS_AWAY) == []
