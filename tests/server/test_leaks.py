"""Tokens and passwords are in no log line and no error, whoever sends them wherever."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.faults.processes import Parley, parleys
from tests.faults.wire import Cut, GraphQLClient, SocketIOClient

PASSWORD = "marker-password-7f3a"
WRONG = "marker-wrong-51bc"
EMAIL = "leaks@example.com"
CONTENT = "marker-content-90de"


async def drive(parley: Parley) -> tuple[set[str], list[str]]:
    """Use every face, rightly and wrongly; return the secrets, and the bodies of all refusals."""
    refusals: list[str] = []
    account = {"email": EMAIL, "password": PASSWORD, "displayName": "L"}
    async with httpx.AsyncClient(base_url=parley.url) as http:

        async def refused(method: str, path: str, **more: object) -> None:
            answer = await http.request(method, path, **more)  # type: ignore[arg-type]  # httpx's own
            assert answer.status_code >= 400 or "errors" in answer.json(), answer.text
            refusals.append(answer.text + str(answer.headers))

        await http.post("/api/auth/register", json=account)
        token = (await http.post("/api/auth/login", json=account)).json()["token"]
        forged = token[:-5] + "XXXXX"
        for bad in (forged, f"{token} {token}", WRONG):
            headers = {"Authorization": f"Bearer {bad}"}
            await refused("GET", "/api/messages", headers=headers)
            query = {"query": "{ me { id } }"}
            await refused("POST", "/graphql", json=query, headers=headers)
            with pytest.raises(Cut):
                await GraphQLClient.open(parley.port, bad)
            with pytest.raises(Cut):
                await SocketIOClient.open(parley.port, bad)
        for path in ("/api/messages", "/graphql", "/files/1", "/socket.io/"):
            await refused("GET", f"{path}?token={token}&signature={WRONG}")
        await refused("POST", "/api/auth/register", json=account)
        await refused("POST", "/api/auth/login", json={**account, "password": WRONG})
        await refused("POST", "/api/auth/login", json={**account, "password": WRONG * 10})
        await refused("POST", "/api/auth/login", json={**account, "password": [WRONG]})
        await refused("POST", "/api/auth/login", content=f'{{"password": "{WRONG}"')
        login = "mutation($e: String!, $p: String!) { login(email: $e, password: $p) { token } }"
        for variables in ({"e": EMAIL, "p": WRONG}, {"e": EMAIL, "p": WRONG * 10}):
            await refused("POST", "/graphql", json={"query": login, "variables": variables})
        headers = {"Authorization": f"Bearer {token}"}
        sent = await http.post("/api/messages/send", json={"content": CONTENT}, headers=headers)
        assert sent.status_code == 201
        files = {"f": ("a.txt", CONTENT.encode())}
        kept = (await http.post("/api/uploads", files=files, headers=headers)).json()
        assert (await http.get(kept["url"])).status_code == 200
    for client in (
        await GraphQLClient.open(parley.port, token),
        await SocketIOClient.open(parley.port, token),
    ):
        answer = await client.start("k", CONTENT, None)
        await asyncio.wait([answer], timeout=10)
        await client.close()
    signature = kept["url"].partition("signature=")[2]
    assert signature
    return {token, forged, token.rpartition(".")[2], signature}, refusals


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_no_secret_is_logged_or_told(tmp_path: Path, log_format: str) -> None:
    with parleys(tmp_path, log_level="DEBUG", log_format=log_format) as [parley]:
        secrets, refusals = await drive(parley)
        await asyncio.to_thread(parley.stop)
        log = parley.log.read_text()
    assert "/api/auth/login" in log, "nothing was logged"
    assert len(refusals) >= 15
    for secret in (*secrets, PASSWORD, WRONG):
        for line in log.splitlines():
            assert secret not in line
        for told in refusals:
            assert secret not in told
    assert CONTENT not in log
    assert "$2b$" not in log
