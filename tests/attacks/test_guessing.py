"""Guessing and flooding while the limits are as they come: it ends soon, and only for who does it.

Each test attacks from an address of its own, and its people live at others.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.attacks.conftest import SECONDS, Report
from tests.attacks.doors import client, socketio_answer
from tests.attacks.target import Target, attacked
from tests.faults.load import PASSWORD, User
from tests.faults.wire import GraphQLClient, Refused, SocketIOClient

pytestmark = pytest.mark.timeout(SECONDS)

# The defaults in .env.example, as what a person at a keyboard meets.
GUESSES = 6
GUESSES_AT_ONCE = 30
LOGINS_PER_ADDRESS = 300
WEIGHT = 5
REGISTRATIONS = 60
BAD_TOKENS = 300
BURST, PER_SECOND = 50, 10
ROOT_FIELDS = 20
HOME, MALLORY_HOME = "127.0.0.2", "127.0.0.3"  # where the people under attack live


@pytest.fixture(scope="module")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """A server with its rate limits as they come."""
    quiet: Report = lambda text: None  # noqa: E731
    async with attacked(tmp_path_factory.mktemp("guessing"), quiet, limits="on") as target:
        yield target


def at(target: Target, address: str) -> httpx.AsyncClient:
    return client(target, "", source=address)


async def registered(target: Target, number: int = 1, *, address: str) -> list[str]:
    """Make accounts from an address; return their e-mails."""
    emails = [f"{uuid4().hex}@example.com" for _ in range(number)]
    async with at(target, address) as http:
        for email in emails:
            body = {"email": email, "password": PASSWORD, "displayName": "x"}
            (await http.post("/api/auth/register", json=body)).raise_for_status()
    return emails


async def log_in(http: httpx.AsyncClient, email: str, password: str) -> httpx.Response:
    return await http.post("/api/auth/login", json={"email": email, "password": password})


def assert_says_when(answer: httpx.Response) -> None:
    """Assert that an answer of REST tells when to try again."""
    said = answer.json()
    assert (answer.status_code, said["code"]) == (429, "RATE_LIMITED"), answer.text
    assert 0 < said["retryAfterMs"] <= 3_600_000
    assert answer.headers["Retry-After"] == str(-(-said["retryAfterMs"] // 1000))


async def assert_comes_in(target: Target, email: str, address: str) -> None:
    """Assert that the account's person logs in from there."""
    async with at(target, address) as http:
        answer = await log_in(http, email, PASSWORD)
    assert answer.status_code == 200, answer.text


def logins(email: str, passwords: list[str]) -> dict[str, Any]:
    """Return one request that tries each password."""
    declared = ", ".join(f"$p{n}: String!" for n in range(len(passwords)))
    fields = " ".join(
        f"a{n}: login(email: $e, password: $p{n}) {{ token }}" for n in range(len(passwords))
    )
    variables = {"e": email, **{f"p{n}": password for n, password in enumerate(passwords)}}
    return {"query": f"mutation($e: String!, {declared}) {{ {fields} }}", "variables": variables}


async def ask(http: httpx.AsyncClient, asked: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = (await http.post("/graphql", json=asked)).json()
    return answer


async def test_spraying_over_aliases_counts_each(target: Target) -> None:
    [email] = await registered(target, address=HOME)
    async with at(target, "127.0.1.1") as http:
        # What has more fields at its root than it may is refused whole: nothing is tried.
        whole = logins(email, [*["wrong"] * ROOT_FIELDS, PASSWORD])
        refused = await ask(http, whole)
        assert refused.get("data") is None
        assert "token" not in str(refused)
        assert len(refused["errors"]) == 1
        assert refused["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert (await log_in(http, email, PASSWORD)).status_code == 200, "nothing was counted"
        codes = []
        # A field that may not be null ends a mutation at the first failure: one try a request.
        for _ in range(GUESSES + 4):
            [error, *_] = (await ask(http, logins(email, ["wrong"] * 5)))["errors"]
            codes.append(error["extensions"]["code"])
        assert set(codes[GUESSES + 1 :]) == {"RATE_LIMITED"}, codes
        last = await ask(http, logins(email, [PASSWORD]))
        assert last["errors"][0]["extensions"]["code"] == "RATE_LIMITED", "the right one neither"
        assert 0 < last["errors"][0]["extensions"]["retryAfterMs"] <= 300_000
    await assert_comes_in(target, email, HOME)


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "at once"])
async def test_guessing_over_rest_ends_for_the_guesser_alone(target: Target, at_once: bool) -> None:
    [email] = await registered(target, address=HOME)
    async with at(target, f"127.0.2.{1 + at_once}") as http:
        if at_once:
            tries = await asyncio.gather(*(log_in(http, email, f"{n}") for n in range(90)))
        else:
            tries = [await log_in(http, email, f"{n}") for n in range(20)]
        tried = [answer for answer in tries if answer.status_code != 429]
        assert {answer.status_code for answer in tried} == {400}
        assert 0 < len(tried) <= (GUESSES_AT_ONCE if at_once else GUESSES)
        refused = await log_in(http, email, PASSWORD)
        assert_says_when(refused)
    await assert_comes_in(target, email, HOME)


async def test_one_password_for_many_accounts_ends_for_the_address(target: Target) -> None:
    emails = [f"{uuid4().hex}@example.com" for _ in range(150)]
    emails += await registered(target, 3, address=HOME)
    async with at(target, "127.0.3.1") as http:
        answers = [await log_in(http, email, "wrong") for email in emails]
        tried = [answer for answer in answers if answer.status_code != 429]
        assert len(tried) <= LOGINS_PER_ADDRESS // WEIGHT
        assert_says_when(answers[-1])
    for email in emails[-3:]:
        await assert_comes_in(target, email, HOME)


async def test_many_addresses_lock_nobody_out_of_where_they_are_known(target: Target) -> None:
    [email] = await registered(target, address=HOME)
    await assert_comes_in(target, email, HOME)
    tried = 0
    for number in range(40):
        async with at(target, f"127.0.4.{number + 1}") as http:
            for _ in range(GUESSES):
                tried += (await log_in(http, email, "wrong")).status_code != 429
    # The last guess that an address has counts once: see LoginAttempt.fail.
    assert tried <= 150 // WEIGHT + GUESSES
    await assert_comes_in(target, email, HOME)


async def test_bad_tokens_over_socketio_end_for_the_address(target: Target) -> None:
    answers: list[list[Any]] = []
    for _ in range(BAD_TOKENS // 20 + 2):
        answers += await asyncio.gather(
            *(socketio_answer(target, "x.y.z", source="127.0.5.1") for _ in range(20))
        )
    refused = [answer for answer in answers if answer != ["auth:error", "Invalid token"]]
    assert len(answers) - len(refused) <= BAD_TOKENS + 20
    assert refused
    for event, told, shape in refused:
        assert (event, shape["error"], shape["code"]) == ("auth:error", told, "RATE_LIMITED")
        assert 0 < shape["retryAfterMs"] <= 60_000
    mallory = target.mallory.token
    assert await socketio_answer(target, mallory, source=MALLORY_HOME) == ["auth:ok"]


async def test_a_flood_of_registrations_ends_for_the_address(target: Target) -> None:
    [taken] = await registered(target, address="127.0.6.3")
    async with at(target, "127.0.6.1") as http:
        answers = []
        for number in range(REGISTRATIONS + 20):
            # Those refused count too: otherwise they would tell which e-mails are taken.
            email = taken if number % 3 == 0 else f"{uuid4().hex}@example.com"
            body = {"email": email, "password": PASSWORD, "displayName": "x"}
            answers.append(await http.post("/api/auth/register", json=body))
        register = 'mutation { register(email: "a@b.example", password: "123456", displayName: "x")'
        over_graphql = await ask(http, {"query": f"{register} {{ token }} }}"})
    assert sum(answer.status_code != 429 for answer in answers) == REGISTRATIONS
    assert_says_when(answers[-1])
    assert over_graphql["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    await registered(target, address="127.0.6.2")


async def test_a_flood_of_sends_is_bounded_over_all_faces_together(target: Target) -> None:
    """The two people of `target` go on at their pace meanwhile."""
    mallory: User = target.mallory
    before = target.pair.exchanged
    began = time.monotonic()
    graphql = await GraphQLClient.open(target.port, mallory.token)
    socketio = await SocketIOClient.open(target.port, mallory.token)
    stored, codes = 0, set()
    try:
        async with client(target, mallory.token) as http:
            for batch in range(10):
                waiting = [
                    await face.start(f"{name} {batch} {number}", "flood", mallory.id)
                    for number in range(40)
                    for name, face in (("g", graphql), ("s", socketio))
                ]
                rest = [
                    http.post("/api/messages/send", json={"content": "x", "toUserId": mallory.id})
                    for _ in range(10)
                ]
                for answer in await asyncio.gather(*rest):
                    stored += answer.status_code == 201
                    if answer.status_code != 201:
                        assert_says_when(answer)
                for result in await asyncio.gather(*waiting, return_exceptions=True):
                    stored += isinstance(result, int)
                    if not isinstance(result, int):
                        assert isinstance(result, Refused), result
                        codes.add(result.code)
    finally:
        await graphql.close()
        await socketio.close()
    assert codes == {"RATE_LIMITED"}
    assert BURST <= stored <= BURST + PER_SECOND * (time.monotonic() - began) + 1
    target.look()
    assert target.pair.exchanged > before
