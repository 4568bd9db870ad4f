"""All that is past an id, over HTTP: for clients that keep the last id and hold no subscription."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.faces import Account, new_account
from tests.support.server import RunningServer

QUERY = """query($with: ID, $after: String, $first: Int) {
  messages(with: $with, after: $after, first: $first) { nodes { id } pageInfo { endCursor } }
}"""
SENT = 250  # more than the two pages that a streamed history reads at once


@pytest.fixture(scope="module")
async def pair(chat: RunningServer) -> tuple[Account, Account, list[int]]:
    """Two people, and the ids of what one wrote to the other."""
    alice, bob = await new_account(chat), await new_account(chat)
    async with client(chat, alice) as http:

        async def send(number: int) -> int:
            body = {"content": str(number), "toUserId": bob.id}
            sent = await http.post("/api/messages/send", json=body)
            return int(sent.json()["id"])

        ids = sorted(await asyncio.gather(*map(send, range(SENT))))
    return alice, bob, ids


def client(server: RunningServer, account: Account) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {account.token}"}
    return httpx.AsyncClient(base_url=server.url, headers=headers)


async def test_rest_goes_on_from_the_greatest_id(
    chat: RunningServer, pair: tuple[Account, Account, list[int]]
) -> None:
    alice, bob, ids = pair
    async with client(chat, bob) as http:

        async def read(**query: Any) -> list[int]:
            answer = await http.get("/api/messages", params={"with": alice.id, **query})
            assert answer.status_code == 200
            return [row["id"] for row in answer.json()]

        assert await read(after=0) == ids[::-1]
        assert await read(after=ids[9]) == ids[:9:-1]
        assert await read(after=ids[9], before=ids[12]) == [ids[11], ids[10]]
        assert await read(after=ids[9], limit=2) == [ids[11], ids[10]]
        assert await read(after=ids[9], limit=0) == []
        assert await read(after=ids[-1]) == []
        assert await read(after=ids[-2], limit=999) == ids[-1:]
        found, last = [], 0
        while page := await read(after=last, limit=120):
            found += page[::-1]
            last = page[0]
        assert found == ids
        assert (await http.get("/api/messages?after=x")).status_code == 400


async def test_graphql_takes_an_id_where_it_takes_a_cursor(
    chat: RunningServer, pair: tuple[Account, Account, list[int]]
) -> None:
    alice, bob, ids = pair
    async with client(chat, bob) as http:

        async def read(after: str) -> dict[str, Any]:
            variables = {"with": str(alice.id), "after": after, "first": 3}
            answer = await http.post("/graphql", json={"query": QUERY, "variables": variables})
            result: dict[str, Any] = answer.json()
            return result

        async def ids_of(after: str) -> list[int]:
            return [int(n["id"]) for n in (await read(after))["data"]["messages"]["nodes"]]

        assert await ids_of("0") == ids[:3]
        assert await ids_of(str(ids[4])) == ids[5:8]
        cursor = (await read(str(ids[4])))["data"]["messages"]["pageInfo"]["endCursor"]
        assert await ids_of(cursor) == ids[8:11]
        for wrong in ("", "-1", "1.5", "x", "9" * 30, "x" * 100_000):
            [error] = (await read(wrong))["errors"]
            assert error["extensions"]["code"] == "BAD_USER_INPUT"
