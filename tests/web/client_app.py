"""An app of web/client in a Node process, and the other person it chats with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import zip_longest
from typing import Any
from uuid import uuid4

from tests.support.faces import PASSWORD, GraphQLFace, new_account
from tests.support.node import Message, NodeProcess, node_process
from tests.support.server import RunningServer

AGAIN_SECONDS = 30.0
SIGNED = {"url", "thumbnailUrl"}  # another one each time that one asks


class ClientApp:
    """An app that does nothing for itself: it calls methods, and hears."""

    def __init__(self, node: NodeProcess, restored: bool) -> None:
        self.node = node
        self.restored = restored
        self._events: list[Message] = []

    async def call(self, method: str, *args: Any) -> Any:
        """Call a method of Parley and wait for its answer."""
        tag = uuid4().hex
        await self.node.send("call", method=method, args=args, tag=tag)
        answer = await self.node.expect(lambda m: m.get("tag") == tag, AGAIN_SECONDS)
        assert answer["type"] == "done", answer
        return answer["data"]

    async def register(self, name: str) -> str:
        """Make an account, and connect; its id."""
        account = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "displayName": name}
        me = await self.call("register", account)
        await self.call("connect")
        return str(me["id"])

    async def queue(self, target: Message, content: str) -> None:
        """Put a message into the outbox."""
        await self.node.send("send", target=target, draft={"content": content})
        await self.node.expect_type("queued")

    async def hears(self, content: str) -> None:
        """Wait for the event of a message."""
        while content not in contents_of(self._events):
            message = await self.node.expect_type("event", AGAIN_SECONDS)
            self._events.append(message["event"])

    def heard(self) -> list[str]:
        """The contents of all messages that came by events, in order."""
        inbox = self.node.inbox
        waiting = [message for message in inbox if message["type"] == "event"]
        inbox[:] = [message for message in inbox if message["type"] != "event"]
        self._events += [message["event"] for message in waiting]
        return contents_of(self._events)

    async def assert_in_step(self) -> dict[str, Any]:
        """What the store shows is what a new client queries, as soon as nothing is under way."""
        loop = asyncio.get_running_loop()
        until = loop.time() + AGAIN_SECONDS
        while True:
            compared = await self.call("compare")
            lines = differences(compared["kept"], compared["fresh"])
            if not lines:
                return dict(compared["kept"])
            assert loop.time() < until, "\n".join(lines)
            await asyncio.sleep(0.1)


def contents_of(events: list[Message]) -> list[str]:
    """The contents of the messages that were sent."""
    return [e["message"]["content"] for e in events if e["__typename"] == "MessageSent"]


def differences(kept: Any, fresh: Any, path: str = "") -> list[str]:
    """Where the two differ, one line for each place."""
    if isinstance(kept, dict) and isinstance(fresh, dict):
        names: list[Any] = sorted((kept.keys() | fresh.keys()) - SIGNED)
        pairs = [(kept.get(name), fresh.get(name)) for name in names]
    elif isinstance(kept, list) and isinstance(fresh, list):
        pairs = list(zip_longest(kept, fresh))
        names = list(range(len(pairs)))
    else:
        return [] if kept == fresh else [f"{path}: {kept!r}, not {fresh!r}"]
    return [
        line
        for name, (left, right) in zip(names, pairs, strict=True)
        for line in differences(left, right, f"{path}.{name}")
    ]


@asynccontextmanager
async def client_app(url: str, **options: Any) -> AsyncIterator[ClientApp]:
    """An app against this address, ended on the way out."""
    # As quick to notice as a test wants it.
    options = {"pingAfterMs": 500, "answerWithinMs": 1000, **options}
    async with node_process("parley_client.mjs", url, options) as node:
        ready = await node.expect_type("ready", AGAIN_SECONDS)
        yield ClientApp(node, ready["restored"])


@asynccontextmanager
async def another_person(server: RunningServer, name: str = "Bob") -> AsyncIterator[GraphQLFace]:
    """Somebody with a plain connection of their own."""
    account = await new_account(server, name)
    async with GraphQLFace.open(server, account) as face:
        yield face
