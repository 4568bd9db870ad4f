"""Texts that take long to look at: each is refused by its size, on every face."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.attacks.conftest import SECONDS, Report
from tests.attacks.target import attacked
from tests.faults.waits import until

pytestmark = pytest.mark.timeout(SECONDS)

# Looked at, each held the loop for seconds; here with room for a busy machine.
BYSTANDER_SECONDS = 3.0
AT_ONCE = 8
# Canonical ordering is quadratic in a run of marks, the more so where they alternate.
TEXTS = {
    "marks": "\u0300" * 120_000 + "\u0316" * 120_000,
    "letters": "x" * 100_000,
    "jamo": "\u1100" * 100_000,
    "spaces": " " * 400_000 + "x",
}
SEARCH = "query($s: String!) { users(search: $s) { nodes { id } } }"
AFTER = "query($s: String!) { messages(first: 1, after: $s) { nodes { id } } }"
REGISTER = (
    "mutation($e: String!, $p: String!, $d: String!) {"
    " register(email: $e, password: $p, displayName: $d) { token } }"
)
FIELDS = {"email": "e", "password": "p", "displayName": "d"}


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["errors"][0]["extensions"]["code"])


@pytest.mark.parametrize("kind", TEXTS)
async def test_a_long_text_is_refused_by_its_size(
    kind: str, tmp_path: Path, report: Report
) -> None:
    text = TEXTS[kind]
    async with (
        attacked(tmp_path, report) as target,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{target.port}", timeout=60) as http,
    ):
        bearer = {"Authorization": f"Bearer {target.mallory.token}"}

        async def ask(query: str, **variables: Any) -> httpx.Response:
            body = {"query": query, "variables": variables}
            return await http.post("/graphql", json=body, headers=bearer)

        for query in (SEARCH, AFTER):
            answers = await asyncio.gather(*(ask(query, s=text) for _ in range(AT_ONCE)))
            assert {code_of(answer) for answer in answers} == {"BAD_USER_INPUT"}
        for name, variable in FIELDS.items():
            body = {"email": "a@example.com", "password": "123456", "displayName": "A", name: text}
            answers = await asyncio.gather(
                *(http.post("/api/auth/register", json=body) for _ in range(AT_ONCE))
            )
            assert {answer.status_code for answer in answers} == {400}, name
            given = {FIELDS[field]: value for field, value in body.items()}
            assert code_of(await ask(REGISTER, **{**given, variable: text})) == "BAD_USER_INPUT"
        answer = await http.post("/api/auth/login", json={"email": text, "password": text})
        assert answer.status_code == 400
        exchanged = target.pair.exchanged
        await until(lambda: target.pair.exchanged > exchanged + 1, SECONDS)
        assert target.pair.longest < BYSTANDER_SECONDS


VALUES = {
    "lists": b'{"a": [' + b"[]," * 300_000 + b"[]]}",
    "lists, not quite JSON": b'{"b": "\\ud800", "a": [' + b"[]," * 300_000 + b"[]]}",
    "objects": b'{"a": [' + b"{}," * 300_000 + b"{}]}",
    "numbers, not quite JSON": b'{"b": "\\ud800", "a": [' + b"0," * 450_000 + b"0]}",
    "too large numbers": b'{"a": [' + b"1e999," * 150_000 + b"0]}",
}
HEADERS: dict[str, Callable[[], dict[str, str]]] = {
    "Accept": lambda: {"Accept": "a;q=1," * 8_000},
    "Content-Type": lambda: {"Content-Type": 'multipart/form-data; boundary="' + ";" * 50_000},
    "X-Forwarded-For": lambda: {"X-Forwarded-For": "1.1.1.1," * 6_000},
    "Authorization": lambda: {"Authorization": "Bearer " + "a.b." * 12_000},
    "If-None-Match": lambda: {"If-None-Match": '"a",' * 12_000},
    "Range": lambda: {"Range": "bytes=" + "1" * 50_000 + "-"},
}


async def test_many_values_and_long_headers_take_no_time(tmp_path: Path, report: Report) -> None:
    async with (
        attacked(tmp_path, report, trusted_proxies="127.0.0.1") as target,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{target.port}", timeout=60) as http,
    ):
        json = {"Content-Type": "application/json"}
        for values in VALUES.values():
            for path in ("/graphql", "/api/auth/login"):
                answers = await asyncio.gather(
                    *(http.post(path, content=values, headers=json) for _ in range(AT_ONCE))
                )
                assert {answer.status_code for answer in answers} == {400}
        for headers in HEADERS.values():
            for path in ("/graphql", "/files/1", "/api/auth/login"):
                sent = {**json, **headers()}
                method = "GET" if path.startswith("/files") else "POST"
                answers = await asyncio.gather(
                    *(
                        http.request(method, path, content=b"{}", headers=sent)
                        for _ in range(AT_ONCE)
                    )
                )
                assert all(400 <= answer.status_code < 500 for answer in answers)
        for path in ("/graphql", "/files/1", "/socket.io/"):
            answer = await http.get(f"{path}?" + "&a=" * 15_000)
            assert 400 <= answer.status_code < 500
        exchanged = target.pair.exchanged
        await until(lambda: target.pair.exchanged > exchanged + 1, SECONDS)
        assert target.pair.longest < BYSTANDER_SECONDS
