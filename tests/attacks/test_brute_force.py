"""Guessing: whether an account exists shows neither in the answer nor in its time."""

import statistics
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.attacks.conftest import SECONDS, Report, times
from tests.attacks.doors import SAME_REQUEST
from tests.attacks.target import Target, attacked

pytestmark = pytest.mark.timeout(SECONDS)

TRIES = times(60, 200)
# An account that is known takes no longer to refuse than one that is not, but for noise.
FACTOR = 1.5
NOISE_SECONDS = 0.004
LOGIN = "mutation($e: String!, $p: String!) { login(email: $e, password: $p) { token } }"


async def timed(http: httpx.AsyncClient, face: str, email: str) -> tuple[float, str]:
    """Log in with a wrong password; return how long it took and what was answered."""
    began = time.perf_counter()
    if face == "rest":
        body = {"email": email, "password": "wrong"}
        answer = await http.post("/api/auth/login", json=body)
    else:
        asked = {"query": LOGIN, "variables": {"e": email, "p": "wrong"}}
        answer = await http.post("/graphql", json=asked)
    return time.perf_counter() - began, f"{answer.status_code} {answer.text}"


async def known_email(http: httpx.AsyncClient) -> str:
    email = f"{uuid4().hex}@example.com"
    body = {"email": email, "password": "123456", "displayName": "x"}
    (await http.post("/api/auth/register", json=body)).raise_for_status()
    return email


def client(target: Target) -> httpx.AsyncClient:
    base_url = f"http://127.0.0.1:{target.port}"
    return httpx.AsyncClient(base_url=base_url, headers=SAME_REQUEST, timeout=20)


@pytest.mark.parametrize("face", ["rest", "graphql"])
async def test_a_login_does_not_tell_who_has_an_account(
    face: str, tmp_path: Path, report: Report
) -> None:
    # Rounds that take milliseconds, so that leaving the check out would be seen.
    async with attacked(tmp_path, report, bcrypt_rounds=8) as target, client(target) as http:
        email = await known_email(http)
        known, unknown = [], []
        answers = set()
        for _ in range(TRIES):
            seconds, told = await timed(http, face, email)
            known.append(seconds)
            answers.add(told)
            seconds, told = await timed(http, face, f"{uuid4().hex}@example.com")
            unknown.append(seconds)
            answers.add(told)
        assert len(answers) == 1, answers
        here, there = statistics.median(known), statistics.median(unknown)
        report(f"known {here * 1000:.1f} ms, unknown {there * 1000:.1f} ms")
        assert here < there * FACTOR + NOISE_SECONDS
        assert there < here * FACTOR + NOISE_SECONDS
