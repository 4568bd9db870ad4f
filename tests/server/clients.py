"""Logged-in Socket.IO clients under Node, and a chat among them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from tests.faults.load import User
from tests.support.node import NodeProcess, node_process


@asynccontextmanager
async def node_clients(
    url: str, users: list[User], **options: Any
) -> AsyncIterator[list[NodeProcess]]:
    """Logged-in Node clients, one a user, all connecting at once."""
    async with AsyncExitStack() as stack:
        clients = await asyncio.gather(
            *(
                stack.enter_async_context(node_process("socketio_client.mjs", url, options))
                for _ in users
            )
        )
        for client, user in zip(clients, users, strict=True):
            await client.expect_type("connect")
            await client.send("emit", event="auth:login", args=[{"token": user.token}])
        for client in clients:
            await client.expect_type("event", event="auth:ok")
        yield clients


async def everyone_talks(clients: list[NodeProcess], users: list[User], rounds: int) -> None:
    """Each writes to the next and to all; each hears just that."""
    count = len(clients)
    for turn in range(rounds):
        for number, client in enumerate(clients):
            to = users[(number + 1) % count].id
            body = {"toUserId": to, "content": f"{turn}: {number}"}
            await client.send("emit", event="message:private", args=[body], ack=True, id=turn)
        for number, client in enumerate(clients):
            answer = await client.expect_type("ack", id=turn)
            assert answer["args"][0]["content"] == f"{turn}: {number}", answer
            for content in (f"{turn}: {number}", f"{turn}: {(number - 1) % count}"):
                heard = await client.expect(_is_message(content))
                assert users[number].id in (heard["args"][0]["senderId"], receiver_of(heard))
        await clients[turn % count].send(
            "emit", event="message:send", args=[{"content": f"all {turn}"}]
        )
        for client in clients:
            await client.expect(_is_message(f"all {turn}"))
    for client in clients:
        assert not [said for said in client.inbox if said.get("event") == "message:new"]
        assert not [said for said in client.inbox if said["type"] == "disconnect"]


def receiver_of(heard: dict[str, Any]) -> Any:
    """Who a message was for."""
    return heard["args"][0]["receiverId"]


def _is_message(content: str) -> Callable[[dict[str, Any]], bool]:
    def matches(said: dict[str, Any]) -> bool:
        return said.get("event") == "message:new" and said["args"][0]["content"] == content

    return matches
