"""Whatever clients send, retry, cut and resume, a list is what they see: Hypothesis looks."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.faults.conftest import SECONDS, times
from tests.faults.load import User, register
from tests.faults.store import Store
from tests.faults.waits import until
from tests.faults.wire import WATCH, GraphQLClient, Refused, RestClient, Sender, SocketIOClient
from tests.support.server import RunningServer, running_server

T = TypeVar("T")

WAIT_SECONDS = 10
USERS = st.integers(0, 2)
RECEIVERS = st.none() | USERS
FACES = st.sampled_from(["graphql", "socketio", "rest"])
TEXTS = st.text("aé😀", min_size=1, max_size=5)


class Entry(NamedTuple):
    """A message of the model; its place in the list is its id, past where the example began."""

    sender: int
    receiver: int | None
    key: str
    content: str


class Chat(RuleBasedStateMachine):
    """Three users of a running server, and the list of what they have sent."""

    server: RunningServer
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.model: list[Entry] = []
        self.base = 0
        self.users: list[User] = []
        self.senders: dict[tuple[int, str], Sender] = {}
        self.readers: dict[int, GraphQLClient] = {}
        self.seen: list[list[tuple[int, str]]] = [[], [], []]

    @initialize()
    def begin(self) -> None:
        """New users, who read from the log's end."""
        self.users = self.run(register(self.port, 3))
        self.base = self.server.ctx.feed.position
        for user in range(3):
            self.resume(user)

    # Sends.

    @rule(user=USERS, to=RECEIVERS, content=TEXTS, face=FACES)
    def send(self, user: int, to: int | None, content: str, face: str) -> None:
        """A send is stored next."""
        entry = self.entry(user, to, content)
        self.expect_next(entry, self.run(self.ask(face, entry)))

    @rule(
        user=USERS,
        to=RECEIVERS,
        number=st.integers(2, 8),
        face=st.sampled_from(["graphql", "socketio"]),
    )
    def pipeline(self, user: int, to: int | None, number: int, face: str) -> None:
        """Sends without waiting keep their order."""
        entries = [self.entry(user, to, "x", offset) for offset in range(number)]

        async def send() -> list[int]:
            sender = await self.sender(user, face)
            answers = [await self.start(sender, entry) for entry in entries]
            return list(await asyncio.wait_for(asyncio.gather(*answers), WAIT_SECONDS))

        for entry, id_ in zip(entries, self.run(send()), strict=True):
            self.expect_next(entry, id_)

    @rule(user=USERS, to=RECEIVERS, content=TEXTS)
    def send_twice_at_once(self, user: int, to: int | None, content: str) -> None:
        """Two connections send the same: it is one message, and both get it."""
        entry = self.entry(user, to, content)

        async def send() -> list[int]:
            return list(
                await asyncio.gather(*(self.ask(face, entry) for face in ("graphql", "socketio")))
            )

        one, other = self.run(send())
        assert one == other
        self.expect_next(entry, one)

    @rule(user=USERS, to=RECEIVERS, content=TEXTS, face=FACES)
    def send_and_be_cut(self, user: int, to: int | None, content: str, face: str) -> None:
        """Whether it was stored or not: the retry settles it."""
        entry = self.entry(user, to, content)

        async def send() -> int:
            sender = await self.sender(user, face)
            answer = await self.start(sender, entry)
            sender.abort()
            await asyncio.wait([answer], timeout=WAIT_SECONDS)
            if not answer.cancelled():
                answer.exception()
            await self.senders.pop((user, face)).close()
            return await self.ask(face, entry)

        self.expect_next(entry, self.run(send()))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), face=FACES)
    def retry(self, data: st.DataObject, face: str) -> None:
        """A retry, on whichever face, answers the first message."""
        index = data.draw(st.integers(0, len(self.model) - 1))
        assert self.run(self.ask(face, self.model[index])) == self.base + index + 1

    @precondition(lambda self: self.model)
    @rule(data=st.data(), face=FACES, other=st.sampled_from(["content", "receiver"]))
    def reuse_a_key(self, data: st.DataObject, face: str, other: str) -> None:
        """Another message under a key is refused."""
        entry = data.draw(st.sampled_from(self.model))
        if other == "content":
            changed = entry._replace(content=f"{entry.content}!")
        else:
            changed = entry._replace(receiver=None if entry.receiver == 0 else 0)
        with pytest.raises(Refused) as refused:
            self.run(self.ask(face, changed))
        assert refused.value.code == "CONFLICT"

    # Reading.

    @rule(user=USERS)
    def cut_a_reader(self, user: int) -> None:
        """A reader is gone, without a word, and may have missed what was on its way."""
        if user in self.readers:
            self.run(self.readers.pop(user).close())

    @rule(user=USERS)
    def resume(self, user: int) -> None:
        """A reader comes back and asks for what it has not seen."""
        if user in self.readers:
            return

        def take(data: dict[str, Any]) -> None:
            message = data["messageAdded"]
            self.seen[user].append((int(message["id"]), message["content"]))

        async def watch() -> GraphQLClient:
            client = await GraphQLClient.open(self.port, self.users[user].token)
            last = self.seen[user][-1][0] if self.seen[user] else self.base
            await client.watch(WATCH, take, last)
            return client

        self.readers[user] = self.run(watch())

    @rule(user=USERS)
    def read(self, user: int) -> None:
        """A reader sees what it may see of the list, all of it, once and in order."""
        self.resume(user)
        wanted = [
            (self.base + position, entry.content)
            for position, entry in enumerate(self.model, 1)
            if entry.receiver is None or user in (entry.sender, entry.receiver)
        ]

        def arrived() -> bool:
            assert not self.readers[user].over.is_set()
            return len(self.seen[user]) >= len(wanted)

        with suppress(TimeoutError):  # the comparison says more
            self.run(until(arrived, WAIT_SECONDS))
        assert self.seen[user] == wanted

    def teardown(self) -> None:
        """Everybody has seen everything; then all leave."""
        try:
            for user in range(len(self.users)):
                self.read(user)
        finally:
            self.run(self.leave())

    # What the rules are made of.

    @property
    def port(self) -> int:
        return self.server.settings.port

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def entry(self, user: int, to: int | None, content: str, offset: int = 0) -> Entry:
        return Entry(user, to, f"key {len(self.model) + offset}", content)

    def expect_next(self, entry: Entry, id_: int) -> None:
        self.model.append(entry)
        assert id_ == self.base + len(self.model)

    async def sender(self, user: int, face: str) -> Sender:
        if (user, face) not in self.senders:
            token = self.users[user].token
            self.senders[user, face] = (
                await GraphQLClient.open(self.port, token)
                if face == "graphql"
                else await SocketIOClient.open(self.port, token)
                if face == "socketio"
                else RestClient(self.port, token)
            )
        return self.senders[user, face]

    async def start(self, sender: Sender, entry: Entry) -> asyncio.Future[int]:
        to = None if entry.receiver is None else self.users[entry.receiver].id
        return await sender.start(entry.key, entry.content, to)

    async def ask(self, face: str, entry: Entry) -> int:
        sender = await self.sender(entry.sender, face)
        return await asyncio.wait_for(await self.start(sender, entry), WAIT_SECONDS)

    async def leave(self) -> None:
        for client in [*self.senders.values(), *self.readers.values()]:
            await client.close()


@pytest.mark.timeout(SECONDS)
def test_clients_see_what_a_list_would_show(store: Store, tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    try:
        with running_server(tmp_path, database_url=store.url) as server:
            machine = type("RunningChat", (Chat,), {"server": server, "loop": loop})
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=times(12, 200),
                    stateful_step_count=25,
                    deadline=None,
                    suppress_health_check=[*HealthCheck],
                ),
            )
        rows = store.rows()
        assert [row.id for row in rows] == list(range(1, store.head() + 1))
        assert len({(row.sender_id, row.key) for row in rows}) == len(rows)
    finally:
        loop.close()
