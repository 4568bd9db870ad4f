"""`node` and `nodes`: what a global id finds, and for whom."""

from base64 import b64encode
from typing import Any

import pytest

from tests.schema.client import Socket, open_socket
from tests.support.faces import Account, new_account
from tests.support.server import RunningServer

MINE = "{ me { id globalId } sessions { id globalId current } }"
SEND = """mutation($to: ID, $c: String) {
  sendMessage(receiverId: $to, content: $c) { id globalId sender { globalId } }
}"""
NODES = """query($ids: [ID!]!) { nodes(ids: $ids) {
  __typename id globalId ... on Message { content } ... on User { displayName }
} }"""
NODE = "query($id: ID!) { node(id: $id) { __typename id globalId } }"


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


async def send(socket: Socket, to: Account, content: str) -> dict[str, Any]:
    result = await socket.execute(SEND, {"to": str(to.id), "c": content})
    sent: dict[str, Any] = result["data"]["sendMessage"]
    return sent


async def find(socket: Socket, *ids: str) -> list[Any]:
    found: list[Any] = (await socket.execute(NODES, {"ids": ids}))["data"]["nodes"]
    for id_, node in zip(ids, found, strict=True):
        one = (await socket.execute(NODE, {"id": id_}))["data"]["node"]
        assert one == (None if node is None else {key: node[key] for key in one})
    return found


async def test_a_global_id_finds_what_it_names(chat: RunningServer) -> None:
    alice, bob = await new_account(chat, "Alice"), await new_account(chat, "Bob")
    async with open_socket(chat, alice) as socket:
        mine = (await socket.execute(MINE))["data"]
        sent = await send(socket, bob, "hello")
        [session] = [session for session in mine["sessions"] if session["current"]]
        assert sent["sender"]["globalId"] == mine["me"]["globalId"]
        ids = [sent["globalId"], mine["me"]["globalId"], session["globalId"], sent["globalId"]]
        message, me, login, again = await find(socket, *ids)
        assert message == again
        assert (message["__typename"], message["id"], message["content"]) == (
            "Message",
            sent["id"],
            "hello",
        )
        assert (me["__typename"], me["id"], me["displayName"]) == ("User", str(alice.id), "Alice")
        assert (login["__typename"], login["id"]) == ("Session", session["id"])


async def test_what_is_anothers_is_as_missing(chat: RunningServer) -> None:
    alice, bob, carol = [await new_account(chat) for _ in range(3)]
    async with open_socket(chat, alice) as socket:
        sent = await send(socket, bob, "not for Carol")
        mine = (await socket.execute(MINE))["data"]["sessions"]
    async with open_socket(chat, carol) as socket:
        theirs = [sent["globalId"], *(session["globalId"] for session in mine)]
        assert await find(socket, *theirs, encoded("Message:999999999")) == [None] * (2 + len(mine))
    async with open_socket(chat) as stranger:
        for query in (f'{{ node(id: "{sent["globalId"]}") {{ id }} }}', '{ node(id: "x") { id } }'):
            [error] = (await stranger.execute(query))["errors"]
            assert error["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "1",
        "x",
        "é",
        "====",
        "x" * 100_000,
        encoded("Message"),
        encoded("Message:"),
        encoded("Message:x"),
        encoded("Message:-1"),
        encoded("Message:1:2"),
        encoded("Query:1"),
        encoded("__Schema:1"),
        encoded(":1"),
        b64encode(b"\xff\xfe").decode(),
    ],
    ids=lambda text: ascii(text[:30]),
)
async def test_what_is_no_global_id_finds_nothing(sqlite_chat: RunningServer, wrong: str) -> None:
    async with open_socket(sqlite_chat, await new_account(sqlite_chat)) as socket:
        assert await find(socket, wrong) == [None]


async def test_nodes_are_a_hundred_at_most(sqlite_chat: RunningServer) -> None:
    async with open_socket(sqlite_chat, await new_account(sqlite_chat)) as socket:
        assert await find(socket, *["x"] * 100) == [None] * 100
        [error] = (await socket.execute(NODES, {"ids": ["x"] * 101}))["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
