"""A planned operation answers what graphql-core answers, byte for byte, on generated documents."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from graphql import OperationType
from strawberry.relay.utils import to_base64

from resolvers.context import Context
from resolvers.messages import send_message
from resolvers.pending import Pending
from schema.context import OperationContext
from schema.execution.documents import Operation, RequestRefused
from schema.execution.operations import Operations
from schema.execution.recent import RecentCache
from schema.execution.requests import GraphQLRequest
from schema.loaders import Loaders
from schema.root import schema
from tests.resolvers.conftest import join, running_context
from tests.schema.writer import write_document

GENERATED = 150
USER_1, USER_2 = to_base64("User", 1), to_base64("User", 2)
MESSAGE_1 = to_base64("Message", 1)


class Pair:
    """Two people who wrote to each other, and the operations of their server."""

    def __init__(self, ctx: Context, other: Context) -> None:
        self.ctx = ctx
        self.other = other
        self.operations = Operations(schema, ctx)

    def prepare(self, query: str) -> Operation:
        return self.operations.prepare(self.ctx, GraphQLRequest(query=query))

    async def both(self, query: str, variables: dict[str, Any] | None = None) -> list[bytes]:
        """Return what the plan answers, and what graphql-core does."""
        operation = self.prepare(query)
        assert operation.plan is not None, query
        planned = await self._answer(operation, variables)
        walked = await self._answer(replace(operation, plan=None), variables)
        if operation.type is OperationType.QUERY and b'"errors"' not in walked:
            # The plan answers by itself, and does not leave it to a walk.
            context = OperationContext(self.ctx, Loaders(self.ctx))
            assert await operation.plan.execute(context, variables) is not None, query
        return [planned, walked]

    async def at_once(self, query: str, variables: dict[str, Any] | None = None) -> bytes:
        """Return what a socket answers without a task."""
        operation = self.prepare(query)
        started = self.operations.start(self.ctx, operation, variables)
        assert started is not None, query
        if isinstance(started, Pending):
            await asyncio.wait([started.future])
            started = started.result()
        return msgspec.json.encode(started)

    async def _answer(self, operation: Operation, variables: dict[str, Any] | None) -> bytes:
        try:
            result = await self.operations.execute(self.ctx, operation, variables)
        except RequestRefused as refused:
            result = {"errors": refused.errors}
        return msgspec.json.encode(result)

    async def events(self, query: str, *, planned: bool, after: str) -> list[bytes]:
        """Return a subscription's events up to the log's head, as they are encoded."""
        operation = self.prepare(query)
        if planned:
            assert operation.plan is not None, query
        else:
            operation = replace(operation, plan=None)
        seen: list[bytes] = []
        stream = self.operations.subscribe(self.ctx, operation, {"after": after})
        async with aclosing(stream):
            async for results in stream:
                seen += [bytes(result) for result in results]
                if len(seen) == self.ctx.feed.position - int(after):
                    break
        return seen


@pytest.fixture(scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    directory: Path = tmp_path_factory.mktemp("plans")
    url = f"sqlite:///{directory / 'p.db'}"
    # What is made at random is larger than what clients may send.
    wide = {"max_query_fields": 10_000, "max_query_aliases": 10_000, "max_query_cost": 10**6}
    async with running_context(directory, database_url=url, **wide) as ctx:
        one, other = await join(ctx, "Ünal 😀"), await join(ctx, "B")
        for number in range(6):
            sender, receiver = (one, other.user.id) if number % 2 else (other, one.user.id)
            key = f"key {number}" if number % 3 else None
            await send_message(
                sender,
                receiver_id=receiver if number < 5 else None,
                content=f'"{number}" <ü> \u2028 😀\n\\',
                client_message_id=key,
            )
        yield Pair(one, other)


def document(seed: int, head: str, type_name: str, *, functions: bool) -> str:
    return write_document(schema._schema, seed, head, type_name, functions=functions)


async def test_queries_are_answered_alike(pair: Pair) -> None:
    for seed in range(GENERATED):
        query = document(seed, "{ messages(last: 4) %s }", "MessageConnection", functions=True)
        planned, walked = await pair.both(query)
        assert planned == walked, query


async def test_things_of_several_types_are_answered_alike(pair: Pair) -> None:
    names = f'"{USER_1}", "{MESSAGE_1}", "nothing", "{USER_2}"'
    compared = 0
    for seed in range(GENERATED):
        query = document(seed, f"{{ nodes(ids: [{names}]) %s }}", "Node", functions=True)
        try:
            planned, walked = await pair.both(query)
        except RequestRefused:
            continue  # fields of one name have another type in another of the types
        assert planned == walked, query
        assert b'"errors"' not in planned
        compared += 1
    assert compared > GENERATED / 2


async def test_events_are_shown_alike(pair: Pair) -> None:
    head = "subscription($after: ID) { k: messageAdded(after: $after) %s }"
    for seed in range(GENERATED):
        query = document(seed, head, "Message", functions=True)
        planned = await pair.events(query, planned=True, after="1")
        assert planned == await pair.events(query, planned=False, after="1"), query
        assert len(planned) >= 5


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("query($f: Int) { messages(first: $f) { nodes { id } } }", {"f": 2}),
        ("query($f: Int) { messages(first: $f) { nodes { id } } }", {"f": None}),
        ("query($f: Int) { messages(first: $f) { nodes { id } } }", {}),
        ("query($f: Int) { messages(first: $f) { nodes { id } } }", {"f": "2"}),
        ("query($f: Int) { messages(first: $f) { nodes { id } } }", {"f": 2.0}),
        ("query($f: Int) { messages(first: $f) { nodes { id } } }", {"f": 2**31}),
        ("query($f: Int) { messages(first: $f) { nodes { id } } }", {"f": True}),
        ("query($f: Int!) { messages(first: $f) { nodes { id } } }", {}),
        ("query($f: Int = 2) { messages(first: $f) { nodes { id } } }", None),
        ("query($f: Int = 2) { messages(first: $f) { nodes { id } } }", {"f": 1}),
        ("query($f: Int = 2) { messages(first: $f) { nodes { id } } }", {"f": "x"}),
        ("query($n: Int) { messages(first: $n, last: $n) { nodes { id } } }", {"n": None}),
        ("query($i: [ID!]!) { nodes(ids: $i) { id __typename } }", {"i": [USER_1, MESSAGE_1]}),
        ("query($i: [ID!]!) { nodes(ids: $i) { id __typename } }", {"i": USER_1}),
        ("query($i: [ID!]!) { nodes(ids: $i) { id __typename } }", {"i": []}),
        ("query($i: [ID!]!) { nodes(ids: $i) { id __typename } }", {"i": [1, None]}),
        ("query($i: [ID!]!) { nodes(ids: $i) { id __typename } }", {"i": [[USER_1]]}),
        ("query($i: [ID!]!) { nodes(ids: $i) { id __typename } }", {"i": ["x"] * 2001}),
        ("query($i: [ID!]!) { nodes(ids: $i) { id __typename } }", {"i": ["x"] * 101}),
        ("query($i: [ID!]!) { nodes(ids: $i) { id __typename } }", {}),
        ("query($i: ID!) { nodes(ids: [$i, $i]) { id __typename } }", {"i": USER_1}),
        (f'{{ nodes(ids: ["{USER_1}", "", "nothing"]) {{ id ... on User {{ email }} }} }}', None),
        (f'{{ node(id: "{MESSAGE_1}") {{ ... on Message {{ sender {{ online }} }} }} }}', None),
        ('{ node(id: "nothing") { id } }', None),
        ("query($w: ID) { messages(with: $w) { nodes { id } } }", {"w": 2}),
        ("query($w: ID) { messages(with: $w) { nodes { id } } }", {"w": "x"}),
        ("query($w: ID) { messages(with: $w) { nodes { id } } }", {"w": ["2"]}),
        ("{ messages(first: 1, after: null) { nodes { id kind } } }", None),
        ("{ messages(with: 2) { nodes { id kind createdAt } } }", None),
        ("{ message(id: 1) { id content receiverId } }", None),
        ("{ message(id: 1) { id sender { id email online } } }", None),
        ("{ me { id email displayName createdAt } }", None),
        ("{ conversations { nodes { members(first: 1) { nodes { user { id } } } } } }", None),
        ("{ conversations { nodes { a: marks(first: null) { user { id } } } } }", None),
        ("{ conversations(first: 2) { nodes { messages(last: 2) { nodes { content } } } } }", None),
        ('{ conversations { nodes { messages(after: "2") { nodes { id } } } } }', None),
        ("{ conversations { nodes { members(first: 1000) { nodes { role } } } } }", None),
        ('{ conversations { nodes { marks(after: "x") { readUpTo } } } }', None),
        ("{ onlineUsers { id email lastSeenAt } }", None),
        ('{ users(search: "B", first: 3) { nodes { id email online } edges { cursor } } }', None),
        ("{ message(id: 99) { id } }", None),
        ("{ messages(first: 100000) { nodes { id } } }", None),
        ('{ messages(after: "nonsense") { nodes { id } } }', None),
        ("mutation { sendMessage(content: null) { id } }", None),
        ('mutation { sendMessage(kind: EMOJI, content: "no") { id } }', None),
        ("mutation($k: MessageKind) { sendMessage(kind: $k) { id } }", {"k": "IMAGE"}),
        ("mutation($k: MessageKind) { sendMessage(kind: $k) { id } }", {"k": "NONE"}),
        ("mutation($k: MessageKind) { sendMessage(kind: $k) { id } }", {"k": 1}),
        ("mutation($c: String) { x: sendMessage(content: $c) { id } }", {"c": ["x"]}),
        ('mutation { sendMessage(receiverId: 9999, content: "x") { id } }', None),
    ],
)
async def test_arguments_and_refusals_are_alike(
    pair: Pair, query: str, variables: dict[str, Any] | None
) -> None:
    planned, walked = await pair.both(query, variables)
    assert planned == walked


async def test_a_stored_send_is_answered_alike(pair: Pair) -> None:
    query = """mutation($k: String, $c: String!, $kind: MessageKind) {
      sendMessage(receiverId: 2, content: $c, clientMessageId: $k, kind: $kind)
      { __typename id senderId receiverId kind content createdAt clientMessageId }
    }"""
    for kind in ("TEXT", "EMOJI"):
        values = {"k": f"alike {kind}", "c": "😀", "kind": kind}
        planned, walked = await pair.both(query, values)
        assert planned == walked == await pair.at_once(query, values)
        assert b'"errors"' not in planned


def random_send(seed: int, receiver_id: int) -> tuple[str, dict[str, Any]]:
    """Return a send of random arguments, good and bad, each given in one of three ways."""
    chosen = random.Random(seed)
    arguments: dict[str, tuple[str, list[Any]]] = {
        "receiverId": ("ID", [None, *[str(receiver_id)] * 6, "99999", "x"]),
        "content": ("String", [*["😀"] * 9, None, " ", "hello", "\x00", "x" * 20_000]),
        "kind": ("MessageKind", [None, *["TEXT"] * 3, "EMOJI", "IMAGE"]),
        "attachmentId": ("ID", [*[None] * 9, "99999", "nonsense"]),
        "clientMessageId": (
            "String",
            [None, "", "k" * 129, "always", f"one {seed}", f"1 {seed}", "key 1"],
        ),
    }
    declared, given, variables = [], [], {}
    for name, (type_, values) in arguments.items():
        value, how = chosen.choice(values), chosen.choice(["left out", "variable", "constant"])
        if how == "variable":
            declared.append(f"${name}: {type_}")
            given.append(f"{name}: ${name}")
            if value is not None or chosen.random() < 0.5:
                variables[name] = value
        elif how == "constant":
            text = msgspec.json.encode(value).decode()
            given.append(f"{name}: {text.strip(chr(34)) if type_ == 'MessageKind' else text}")
    head = "mutation" + (f"({', '.join(declared)})" if declared else "")
    call = "sendMessage" + (f"({', '.join(given)})" if given else "")
    shown = document(seed, f"{head} {{ {call} %s }}", "Message", functions=False)
    return shown, variables


async def test_sends_without_a_task_are_answered_alike(pair: Pair) -> None:
    """Each is sent both ways; those without a key differ in the id and the time of the message."""
    stored = refused = 0
    for seed in range(GENERATED):
        query, variables = random_send(seed, pair.other.user.id)
        planned, walked = await pair.both(query, variables)
        at_once = await pair.at_once(query, variables)
        if b'"errors"' in walked:
            refused += 1
            assert planned == walked == at_once, query
        else:
            stored += 1
            assert without_moments(planned) == without_moments(walked) == without_moments(at_once)
    assert stored > GENERATED / 10
    assert refused > GENERATED / 10


def without_moments(answer: bytes) -> bytes:
    """Return the answer without the ids and times of what is stored anew each time."""
    return re.sub(rb'"\d{4}-\d\d-\d\dT[^"]*"|"\d+"', b"...", answer)


@pytest.mark.parametrize(
    "query",
    [
        "{ me { id } }",
        'mutation { login(email: "a", password: "b") { token } }',
        'mutation { login(email: "a", password: "b") { user { email } } }',  # has no plan
        'mutation { a: sendMessage(content: "x") { id } b: sendMessage(content: "x") { id } }',
        'mutation { sendMessage(content: "x") { sender { id } } }',
        "subscription { messageAdded { id } }",
    ],
)
async def test_only_a_send_needs_no_task(pair: Pair, query: str) -> None:
    assert pair.operations.start(pair.ctx, pair.prepare(query), None) is None


async def test_what_is_not_plain_is_not_started_without_a_task(pair: Pair) -> None:
    operation = pair.prepare("mutation($c: String) { sendMessage(content: $c) { id } }")
    values: list[Any] = [1, ["x"], {}]
    for value in values:
        assert pair.operations.start(pair.ctx, operation, {"c": value}) is None


@pytest.mark.parametrize(
    "query",
    [
        'mutation { login(email: "a", password: "b") { user { email } } }',  # a function
        "{ a: messages { nodes { id } } b: messages { nodes { id } } }",  # two at the root
        "query($n: Int) { conversations { nodes { marks(first: $n) { readUpTo } } } }",
        "query($s: Boolean!) { messages { nodes { id @skip(if: $s) } } }",
        "{ __schema { queryType { name } } }",
        "{ __typename }",
    ],
)
async def test_what_a_plan_does_not_know_is_left_to_graphql_core(pair: Pair, query: str) -> None:
    assert pair.prepare(query).plan is None


async def test_the_documents_of_a_chat_are_planned(pair: Pair) -> None:
    for query in (
        "mutation($to: ID!, $c: String!) { sendMessage(receiverId: $to, content: $c) { id } }",
        "subscription { messageAdded { id content sender { displayName } attachment { url } } }",
        "{ messages(last: 20) { nodes { id content } pageInfo { hasPreviousPage } } }",
        'mutation { login(email: "a", password: "b") { token expiresAt } }',
    ):
        assert pair.prepare(query).plan is not None, query


async def test_an_event_is_encoded_once_for_all(pair: Pair) -> None:
    operation = pair.prepare("subscription { messageAdded { id content } }")
    streams = [pair.operations.subscribe(pair.ctx, operation, None) for _ in range(3)]
    firsts = [anext(stream) for stream in streams]
    tasks = [asyncio.ensure_future(first) for first in firsts]
    await asyncio.sleep(0.05)
    await send_message(pair.ctx, receiver_id=None, content="one for all")
    results = [result for task in tasks for result in await task]
    assert len(results) == 3
    assert all(result is results[0] for result in results)
    for stream in streams:
        await stream.aclose()


async def test_what_depends_on_the_viewer_is_not_shared(pair: Pair) -> None:
    query = "subscription($after: ID) { messageAdded(after: $after) { sender { email } } }"
    mine = await pair.events(query, planned=True, after="1")
    theirs = await Pair(pair.other, pair.ctx).events(query, planned=True, after="1")
    assert mine != theirs


def test_the_cache_tells_objects_apart_by_identity_and_forgets_the_oldest() -> None:
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        return key.upper()

    cache: RecentCache[str, str] = RecentCache(make, recent=2)
    first, same = "".join(["a", "b"]), "".join(["a", "b"])
    assert [cache.of(first), cache.of(first), cache.of(same)] == ["AB"] * 3
    assert len(made) == 2
    cache.of("third")
    cache.of(first)
    assert len(made) == 4
