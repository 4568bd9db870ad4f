"""New documents take from their sender's time; known ones do not."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.schema.client import open_socket
from tests.support.faces import new_account
from tests.support.server import RunningServer, running_server

COSTLY = "{ me { %s } }" % " ".join(f"noSuchField{number}" for number in range(90))  # noqa: UP031
TIGHT: dict[str, Any] = {
    "limits": True,
    "anonymous_graphql_ms_per_address": "40/20seconds",
    "graphql_ms_per_user": "40/20seconds",
}
NEWER = {"Accept": "application/graphql-response+json"}


async def exhaust(http: httpx.AsyncClient, headers: dict[str, str]) -> dict[str, Any]:
    """Send new documents until there is no time left; return the error that says so."""
    for number in range(200):
        body = {"query": f"{COSTLY} # {number}"}
        [error, *_] = (await http.post("/graphql", json=body, headers=headers)).json()["errors"]
        if error["extensions"]["code"] == "RATE_LIMITED":
            assert number > 3
            return dict(error)
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
    raise AssertionError("the time was never used up")


async def test_a_stranger_who_used_up_the_time_waits_on_every_transport(tmp_path: Path) -> None:
    with running_server(tmp_path, **TIGHT) as server:
        async with httpx.AsyncClient(base_url=server.url) as http, open_socket(server) as socket:
            known = await http.post("/graphql", json={"query": "{ __typename }"})
            assert "data" in known.json()
            error = await exhaust(http, {})
            assert error["extensions"]["retryAfterMs"] > 0
            new = {"query": "{ __typename } # new"}
            answer = await http.post("/graphql", json=new, headers=NEWER)
            assert (answer.status_code, "Retry-After" in answer.headers) == (429, True)
            assert (await http.post("/graphql", json=new)).status_code == 200
            await socket.send({"type": "subscribe", "id": "1", "payload": new})
            [error] = (await socket.expect(id="1", type="error"))["payload"]
            assert error["extensions"]["code"] == "RATE_LIMITED"
            # The connection lives; what is remembered is answered as ever, good or refused.
            refused = (await http.post("/graphql", json={"query": f"{COSTLY} # 0"})).json()
            assert refused["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_introspection_by_strangers_takes_time_each_time(tmp_path: Path) -> None:
    with running_server(tmp_path, **TIGHT) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            body = {"query": "{ __schema { types { name fields { name type { name } } } } }"}
            codes = []
            for _ in range(100):
                result = (await http.post("/graphql", json=body)).json()
                codes.append("errors" in result)
                if codes[-1]:
                    assert result["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
                    break
            assert codes[0] is False
            assert codes[-1] is True


async def test_users_have_their_own_time(tmp_path: Path) -> None:
    with running_server(tmp_path, **TIGHT) as server:
        alice, bob = await new_account(server), await new_account(server)
        async with httpx.AsyncClient(base_url=server.url) as http:
            mine, his = ({"Authorization": f"Bearer {user.token}"} for user in (alice, bob))
            await exhaust(http, mine)
            new = {"query": "{ me { id } } # new"}
            assert "data" in (await http.post("/graphql", json=new, headers=his)).json()
            # Now that another has brought it, it costs nobody anything.
            for _ in range(30):
                assert "data" in (await http.post("/graphql", json=new, headers=mine)).json()


async def test_limits_off_ends_it(sqlite_chat: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=sqlite_chat.url) as http:
        for number in range(30):
            body = {"query": f"{COSTLY} # off {number}"}
            [error, *_] = (await http.post("/graphql", json=body)).json()["errors"]
            assert error["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "value",
    [["x"] * 30_000, {f"k{n}": n for n in range(3_000)}, [[[["x"] * 50] * 50] * 50]],
    ids=["long", "wide", "both"],
)
async def test_a_variable_is_bounded(sqlite_chat: RunningServer, value: Any) -> None:
    account = await new_account(sqlite_chat)
    headers = {"Authorization": f"Bearer {account.token}"}
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=headers) as http:
        query = "query($a: ID!) { user(id: $a) { id } }"
        for sent, says in (({"a": value}, "too many values"), ({"a": ["x"]}, "$a")):
            answer = await http.post("/graphql", json={"query": query, "variables": sent})
            [error] = answer.json()["errors"]
            assert says in error["message"]
            assert error["extensions"]["code"] == "BAD_USER_INPUT"
