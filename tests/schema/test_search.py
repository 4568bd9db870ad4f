"""Search as GraphQL clients see it."""

import asyncio
from typing import Any

import pytest

from tests.schema.client import Socket, open_socket
from tests.support.faces import Account, new_account
from tests.support.server import RunningServer

SECONDS = 20
SEND = """
mutation($to: ID, $content: String) { sendMessage(receiverId: $to, content: $content) { id } }"""
SEARCH = """
query($query: String!, $first: Int! = 20, $after: String, $order: SearchOrder! = NEWEST,
      $conversation: ID, $with: ID, $from: ID, $since: DateTime, $until: DateTime) {
  page: searchMessages(query: $query, first: $first, after: $after, order: $order,
                       conversation: $conversation, with: $with, from: $from,
                       since: $since, until: $until) {
    edges { cursor node { id content sender { id } } snippet { text hit } }
    nodes { id }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    complete
  }
}"""


async def look(socket: Socket, query: str, **variables: Any) -> dict[str, Any]:
    result = await socket.execute(SEARCH, {"query": query, **variables})
    assert "errors" not in result, result
    page: dict[str, Any] = result["data"]["page"]
    assert [edge["node"]["id"] for edge in page["edges"]] == [node["id"] for node in page["nodes"]]
    return page


async def send(socket: Socket, to: Account, *contents: str) -> list[str]:
    """Send these messages, and wait until they are found."""
    ids = []
    for content in contents:
        result = await socket.execute(SEND, {"to": str(to.id), "content": content})
        ids.append(result["data"]["sendMessage"]["id"])
    async with asyncio.timeout(SECONDS):
        while True:
            found = (await look(socket, contents[-1]))["nodes"]
            if ids[-1] in [node["id"] for node in found]:
                return ids
            await asyncio.sleep(0.02)


async def test_a_page_of_what_is_found(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with open_socket(chat, alice) as socket:
        ids = await send(socket, bob, *(f"Über den Wolken <b>{n}</b>" for n in range(5)))
        page = await look(socket, "uber wolken", first=2)
        assert [node["id"] for node in page["nodes"]] == [ids[4], ids[3]]
        [edge, _] = page["edges"]
        assert edge["snippet"] == [
            {"text": "Über", "hit": True},
            {"text": " den ", "hit": False},
            {"text": "Wolken", "hit": True},
            {"text": " <b>4</b>", "hit": False},
        ]
        assert edge["node"]["sender"]["id"] == str(alice.id)
        cursors = [edge["cursor"] for edge in page["edges"]]
        assert page["pageInfo"] == {
            "hasNextPage": True,
            "hasPreviousPage": False,
            "startCursor": cursors[0],
            "endCursor": cursors[1],
        }
        assert page["complete"] is True
        rest = await look(socket, "uber wolken", after=cursors[1])
        assert [node["id"] for node in rest["nodes"]] == ids[2::-1]
        assert rest["pageInfo"]["hasNextPage"] is False
        assert rest["pageInfo"]["hasPreviousPage"] is True
        best = await look(socket, "uber wolken", order="RELEVANCE")
        assert {node["id"] for node in best["nodes"]} == {*ids}
        assert (await look(socket, "wolken", **{"with": str(bob.id)}))["nodes"] != []
        assert (await look(socket, "wolken", **{"from": str(bob.id)}))["nodes"] == []
        assert (await look(socket, "wolken", since="2999-01-01T00:00:00Z"))["nodes"] == []


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"query": " "}, "BAD_USER_INPUT"),
        ({"query": "x" * 257}, "BAD_USER_INPUT"),
        ({"query": "x", "first": -1}, "BAD_USER_INPUT"),
        ({"query": "x", "first": 101}, "BAD_USER_INPUT"),
        *(({"query": "x", "after": after}, "BAD_USER_INPUT") for after in (
            "", "x", "0", "12", "=" * 64, "A" * 65, "aWQ6MQ", "TkVXRVNUOjI6MTox",
        )),
        ({"query": "x", "conversation": "no id"}, "NOT_FOUND"),
        ({"query": "x", "conversation": "1099511627776"}, "NOT_FOUND"),
        ({"query": "x", "with": "1099511627776"}, "NOT_FOUND"),
        ({"query": "x", "from": "0"}, "NOT_FOUND"),
    ],
)  # fmt: skip
async def test_bad_input_is_refused(
    sqlite_chat: RunningServer, variables: dict[str, Any], code: str
) -> None:
    alice = await new_account(sqlite_chat)
    async with open_socket(sqlite_chat, alice) as socket:
        result = await socket.execute(SEARCH, variables)
        assert result["data"] is None
        assert [error["extensions"]["code"] for error in result["errors"]] == [code]


async def test_a_stranger_searches_nothing(sqlite_chat: RunningServer) -> None:
    async with open_socket(sqlite_chat) as socket:
        result = await socket.execute(SEARCH, {"query": "x"})
        assert result["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_whole_page_with_every_snippet_is_within_the_cost(
    sqlite_chat: RunningServer,
) -> None:
    alice = await new_account(sqlite_chat)
    async with open_socket(sqlite_chat, alice) as socket:
        assert (await look(socket, "nothing", first=100))["nodes"] == []
