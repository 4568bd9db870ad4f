"""Old state and facts make new state (promise 6), for every kind that `kept_state.py` has.

Clients of two servers with one database query what they keep, follow `events`, and are cut off and
come back, on this server or that. In the end each has what a fresh query gives.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest

from events.subscription import SubscriberTooSlow
from resolvers.context import Context
from resolvers.errors import ParleyError
from schema.execution.operations import Operations
from schema.execution.requests import GraphQLRequest
from schema.root import schema
from tests.resolvers.conftest import join, running_context
from tests.resolvers.kept_blocks import (
    ACTIONS,
    APPLY,
    ASKING,
    FIELDS,
    SNAPSHOT,
    without_untold,
)
from tests.resolvers.kept_groups import query_messages, without_deletions
from tests.resolvers.kept_state import Act, Ask, Data, Sent, State, Table
from tests.support.inbox import Inbox

PEOPLE, SERVERS = 3, 2
# What is tried, how a fact changes a state, is the same code on both engines. What each engine
# reads is compared with the other's in tests/db. FAULTS=long tries more.
EXAMPLES = {"sqlite": 15, "mariadb": 5}
if os.environ.get("FAULTS") == "long":
    EXAMPLES = dict.fromkeys(EXAMPLES, 100)
END = "this is the end"
# Queues that overflow, and queries for more than a client asks for.
SETTINGS: dict[str, Any] = {"max_queued_messages": 5, "max_query_cost": 10**6}
_FRAGMENTS = " ".join(f"... on {kind} {{ {fields} }}" for kind, fields in FIELDS.items())
EVENTS = f"""subscription($after: String) {{
  events(after: $after) {{ __typename cursor {_FRAGMENTS} }} }}"""


class Cut(NamedTuple):
    """A client is cut off."""

    client: int


class Connect(NamedTuple):
    """A client begins, or comes back, on this server."""

    client: int
    server: int


class Forget(NamedTuple):
    """A server has nothing in memory: what it replays it reads from the log."""

    server: int


Step = Act | Cut | Connect | Forget


def drawn(chance: Random) -> list[Step]:
    """Return steps at random: most of them are actions."""
    steps: list[Step] = []
    for _ in range(chance.randint(40, 80)):
        person, server = chance.randrange(PEOPLE), chance.randrange(SERVERS)
        kind = chance.random()
        if kind < 0.8:
            name = chance.choice([*ACTIONS])
            target = chance.randrange(PEOPLE)
            steps.append(Act(name, person, server, target, chance.randrange(10)))
        elif kind < 0.87:
            steps.append(Cut(person))
        elif kind < 0.95:
            steps.append(Connect(person, server))
        else:
            steps.append(Forget(server))
    return steps


# Something to act on, and somebody who hears of it from the beginning.
BEGINNING: list[Step] = [
    Connect(0, 0),
    Connect(1, 1),
    *(
        Act(name, person, person % SERVERS, (person + 1) % PEOPLE, 0)
        for name in ("send", "say to all", "create", "say in a group")
        for person in range(PEOPLE)
    ),
]


def asking(ctx: Context) -> Ask:
    """Return how this viewer runs documents; raises what an error of theirs says."""
    operations = Operations(schema, ctx)

    async def ask(query: str, **variables: Any) -> Data:
        operation = operations.prepare(ctx, GraphQLRequest(query=query))
        result = await operations.execute(ctx, operation, variables)
        if "errors" in result:
            raise Refused(result["errors"])
        data: Data = msgspec.json.decode(msgspec.json.encode(result["data"]))
        return data

    return ask


class Refused(Exception):
    """A document was answered with errors."""


class Client:
    """Somebody's device: what it keeps, and how far it has followed."""

    def __init__(self, contexts: list[Context], people: list[str]) -> None:
        self._contexts = contexts  # on each server
        self._people = people
        self.state: State = {}
        self.cursor = ""
        self.seen: Inbox[Data] = Inbox()
        self._task: asyncio.Task[None] | None = None

    async def connect(self, server: int) -> None:
        """Follow events on this server; at the first time, query before."""
        await self.cut()
        ctx = self._contexts[server]
        if not self.cursor:
            # Before anything is read: what is stored meanwhile comes as an event too.
            self.cursor = (await asking(ctx)("{ serverInfo { cursor } }"))["serverInfo"]["cursor"]
            self.state = await self.query(server)
        self._task = asyncio.create_task(self._follow(ctx))

    async def cut(self) -> None:
        """Hear nothing more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def hears_end(self) -> None:
        """Wait for the end; raise what has ended the following before."""
        assert self._task is not None
        end = self.seen.expect(lambda event: event.get("message", {}).get("content") == END)
        hearing = asyncio.ensure_future(end)
        await asyncio.wait({hearing, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            hearing.cancel()
            self._task.result()
        await hearing

    async def query(self, server: int) -> State:
        """Return what a fresh query gives."""
        state: State = {}
        for part in SNAPSHOT:
            state |= await part(asking(self._contexts[server]), self._people)
        # Without what one wrote in a group before one joined it again.
        for group in [id_ for kind, id_ in state if kind == "group"]:
            await query_messages(asking(self._contexts[server]), state, group)
        return state

    async def _follow(self, ctx: Context) -> None:
        operations = Operations(schema, ctx)
        operation = operations.prepare(ctx, GraphQLRequest(query=EVENTS))
        while True:
            stream = operations.subscribe(ctx, operation, {"after": self.cursor})
            with suppress(SubscriberTooSlow):
                async with aclosing(stream):
                    async for results in stream:
                        for result in results:
                            event = msgspec.json.decode(result)["data"]["events"]
                            await self._take(event, asking(ctx))

    async def _take(self, event: Data, ask: Ask) -> None:
        if "-" in self.cursor:  # each once, and in order
            assert _position(event["cursor"]) > _position(self.cursor)
        if (asks := ASKING.get(event["__typename"])) is not None:
            # All of it or nothing: who is cut off meanwhile hears the event again.
            state = deepcopy(self.state)
            await asks(state, event, ask)
            self.state = state
        elif (apply := APPLY.get(event["__typename"])) is not None:
            apply(self.state, event)
        self.cursor = event["cursor"]
        self.seen.put(event)


def _position(cursor: str) -> int:
    return int(cursor.rpartition("-")[2])


class Example:
    """People, each with a client, on the two servers."""

    def __init__(self, servers: list[Context], people: list[list[Context]]) -> None:
        self._servers = servers
        self._people = people  # for each, the context on each server
        self.done: set[str] = set()  # actions that changed something
        ids = [str(contexts[0].user.id) for contexts in people]
        self._table = Table(ids, [], [])
        self._blockers: list[set[str]] = [set() for _ in people]  # who has ever blocked each
        self._clients = [Client(contexts, ids) for contexts in people]

    async def take(self, step: Step) -> None:
        """Do the step."""
        if isinstance(step, Act):
            await self._act(step)
        elif isinstance(step, Cut):
            await self._clients[step.client].cut()
        elif isinstance(step, Connect):
            await self._clients[step.client].connect(step.server)
        else:
            self._servers[step.server].feed._remembered.go_back(-1)

    async def _act(self, act: Act) -> None:
        asked = ACTIONS[act.name](self._table, act)
        if asked is None:
            return
        query, variables = asked
        with suppress(Refused, ParleyError):
            data = await asking(self._people[act.actor][act.server])(query, **variables)
            self.done.add(act.name)
            if (created := data.get("createGroup")) is not None:
                self._table.groups.append(created["id"])
            if "blockUser" in data:
                self._blockers[act.target].add(self._table.people[act.actor])
            if (sent := data.get("sendMessage")) is not None:
                to_all = variables.get("to", variables.get("id")) is None
                self._table.sent.append(Sent(sent["id"], act.actor, to_all))

    async def settle(self) -> None:
        """Bring all clients back; compare what they keep with what fresh queries give."""
        for number, client in enumerate(self._clients):
            await client.connect(number % SERVERS)
        await self._act_end()
        for client in self._clients:
            await client.hears_end()
        for client, blockers in zip(self._clients, self._blockers, strict=True):
            await client.cut()
            for server in range(SERVERS):
                kept, fresh = deepcopy(client.state), await client.query(server)
                without_deletions(kept, fresh)
                without_untold(kept, fresh, blockers)
                for key in kept.keys() | fresh.keys():
                    assert kept.get(key) == fresh.get(key), key

    async def _act_end(self) -> None:
        send = "mutation($c: String) { sendMessage(content: $c) { id } }"
        # By somebody whom nobody has blocked.
        await asking(await join(self._servers[0]))(send, c=END)
        for server in self._servers:
            server.feed.catch_up()

    async def close(self) -> None:
        """Cut all off."""
        for client in self._clients:
            await client.cut()


@asynccontextmanager
async def _servers(database_url: str, directory: Path) -> AsyncIterator[list[Context]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                running_context(directory / str(number), database_url=database_url, **SETTINGS)
            )
            for number in range(SERVERS)
        ]


async def _play(servers: list[Context], steps: list[Step]) -> set[str]:
    people = []
    for number in range(PEOPLE):
        joined = await join(servers[number % SERVERS])
        people.append([server.as_viewer(joined.user) for server in servers])
    example = Example(servers, people)
    try:
        for step in [*BEGINNING, *steps]:
            await example.take(step)
        await example.settle()
    finally:
        await example.close()
    return example.done


@pytest.mark.timeout(300)
def test_a_client_that_follows_has_what_a_fresh_query_gives(
    engine: str, database_url: str, tmp_path: Path
) -> None:
    with asyncio.Runner() as runner:
        opened = _servers(database_url, tmp_path)
        servers = runner.run(opened.__aenter__())
        done: set[str] = set()

        try:
            for seed in range(EXAMPLES[engine]):
                done |= runner.run(_play(servers, drawn(Random(seed))))
            assert done == ACTIONS.keys() or EXAMPLES[engine] < 15
        finally:
            runner.run(opened.__aexit__(None, None, None))
