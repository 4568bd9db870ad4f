"""Crowds of addresses that log in at once: whom they keep out, and what they buy.

The addresses are those that a trusted proxy tells.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from uuid import uuid4

import httpx
import pytest

from tests.attacks.conftest import LONG, SECONDS, Report
from tests.attacks.doors import client
from tests.attacks.target import Target, attacked
from tests.faults.load import PASSWORD

pytestmark = pytest.mark.timeout(SECONDS)

CLIENTS = 48
LOGINS = 12
LOGIN_SECONDS = 10
FLOOD = 100_000 if LONG else 1500
FROM_ELSEWHERE = 150
WEIGHT = 5
GUESSES_AT_ONCE = 30
HOMES = {"an IPv4 address": "203.0.113.7", "a /64 amid the attackers'": "2001:db8:1:7::9"}


@pytest.fixture(scope="module")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """A server with its rate limits as they come, whose password checks take their time."""
    quiet: Report = lambda text: None  # noqa: E731
    directory = tmp_path_factory.mktemp("crowds")
    async with attacked(
        directory, quiet, limits="on", trusted_proxies="127.0.0.0/8", bcrypt_rounds="10"
    ) as target:
        yield target


async def log_in(http: httpx.AsyncClient, address: str, email: str, password: str) -> int:
    body = {"email": email, "password": password}
    headers = {"X-Forwarded-For": address}
    return (await http.post("/api/auth/login", json=body, headers=headers)).status_code


async def owner(http: httpx.AsyncClient, home: str) -> str:
    """Make an account, and log in to it from home once; return its e-mail."""
    email = f"{uuid4().hex}@example.com"
    body = {"email": email, "password": PASSWORD, "displayName": "x"}
    headers = {"X-Forwarded-For": home}
    (await http.post("/api/auth/register", json=body, headers=headers)).raise_for_status()
    assert await log_in(http, home, email, PASSWORD) == 200
    return email


def a_new_network(number: int) -> str:
    """Return an address in a /64 that nobody had, of several /48s and two /32s."""
    return f"2001:db{8 + number % 2}:{number % 6:x}:{number + 100:x}::1"


@asynccontextmanager
async def crowd(target: Target, email: str) -> AsyncIterator[Counter[int]]:
    """Have clients log in all the time, each time from another /64: half to this account."""
    numbers, came = count(), Counter[int]()

    async def attack(http: httpx.AsyncClient) -> None:
        while True:
            number = next(numbers)
            aimed = email if number % 2 else f"{number}@example.com"
            came[await log_in(http, a_new_network(number), aimed, f"guess {number}")] += 1

    async with client(target, "") as http:
        attackers = [asyncio.create_task(attack(http)) for _ in range(CLIENTS)]
        try:
            yield came
        finally:
            for attacker in attackers:
                attacker.cancel()
            ends = await asyncio.gather(*attackers, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


@pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
async def test_an_owner_comes_in_from_home_while_a_crowd_holds_every_place(
    target: Target, home: str
) -> None:
    async with client(target, "") as http:
        email = await owner(http, home)
        async with crowd(target, email) as came:
            while came[429] < CLIENTS:  # noqa: ASYNC110  # a counter has no event
                await asyncio.sleep(0.05)
            for _ in range(LOGINS):
                async with asyncio.timeout(LOGIN_SECONDS):
                    assert await log_in(http, home, email, PASSWORD) == 200
        assert came.keys() <= {400, 429}, came


@pytest.mark.parametrize("moving", [False, True], ids=["from one address", "from thousands"])
async def test_a_flood_of_logins_buys_no_more_guesses_than_the_limit(
    target: Target, moving: bool
) -> None:
    async with client(target, "") as http:
        email = await owner(http, "192.0.2.1")
        came: Counter[int] = Counter()
        numbers = iter(range(FLOOD))

        async def attack() -> None:
            for number in numbers:
                address = f"10.{number % 250}.{number // 250}.9" if moving else "10.0.255.255"
                came[await log_in(http, address, email, f"guess {number}")] += 1

        await asyncio.gather(*(attack() for _ in range(20)))
        assert came.keys() == {400, 429}
        assert came[400] + came[429] == FLOOD
        # Those that were tried at the same moment count as one each.
        assert came[400] <= (FROM_ELSEWHERE if moving else GUESSES_AT_ONCE)
        assert await log_in(http, "192.0.2.1", email, PASSWORD) == 200
