"""A planned operation answers what graphql-core answers, byte for byte, on generated documents."""

import asyncio
import inspect
import random
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from graphql import GraphQLObjectType, get_named_type, is_leaf_type

from resolvers.context import Context
from resolvers.messages import send_message
from schema import messages
from schema.execution.documents import Operation, RequestRefused
from schema.execution.memo import Memo
from schema.execution.operations import Operations
from schema.execution.requests import GraphQLRequest
from schema.root import schema
from tests.resolvers.conftest import join, running_context

GENERATED = 150
MAX_DEPTH = 3


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
        return [
            await self._answer(operation, variables),
            await self._answer(replace(operation, plan=None), variables),
        ]

    async def at_once(self, query: str, variables: dict[str, Any] | None = None) -> bytes:
        """Return what a socket answers without a task."""
        operation = self.prepare(query)
        begun = self.operations.begin(self.ctx, operation, variables)
        assert begun is not None, query
        if isinstance(begun, asyncio.Future):
            await asyncio.wait([begun])
            begun = self.operations.finish(self.ctx, operation, begun)
        return msgspec.json.encode(begun)

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
            async for result in stream:
                seen.append(msgspec.json.encode(result))
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


class Writer:
    """Writes a selection of a type's fields at random: aliases, fragments, repeats, names."""

    def __init__(self, seed: int, *, functions: bool) -> None:
        self._random = random.Random(seed)
        self._functions = functions
        self.fragments: list[str] = []

    def selection(self, type_: GraphQLObjectType, depth: int = 0) -> str:
        names = [name for name in type_.fields if self._fits(type_, name, depth)]
        chosen = self._random.choices(names, k=self._random.randint(1, 5 - depth)) if names else []
        if self._random.random() < 0.4 or not chosen:
            chosen.append("__typename")
        parts = [self._field(type_, name, number, depth) for number, name in enumerate(chosen)]
        if self._random.random() < 0.3:
            parts.append(f"... on {type_.name} {self.selection(type_, min(depth + 1, MAX_DEPTH))}")
        if self._random.random() < 0.3:
            name = f"f{len(self.fragments)}"
            self.fragments.append("")
            inner = self.selection(type_, min(depth + 1, MAX_DEPTH))
            self.fragments[int(name[1:])] = f"fragment {name} on {type_.name} {inner}"
            parts.append(f"...{name}")
        return "{ " + " ".join(parts) + " }"

    def _fits(self, type_: GraphQLObjectType, name: str, depth: int) -> bool:
        field = type_.fields[name]
        definition = field.extensions["strawberry-definition"]
        if definition.base_resolver is not None and not self._functions:
            return False
        return is_leaf_type(get_named_type(field.type)) or depth < MAX_DEPTH - 1

    def _field(self, type_: GraphQLObjectType, name: str, number: int, depth: int) -> str:
        alias = self._random.random() < 0.3
        text = f"a{depth}_{number}_{self._random.randint(0, 9999)}: {name}" if alias else name
        named = None if name == "__typename" else get_named_type(type_.fields[name].type)
        if isinstance(named, GraphQLObjectType):
            # Under one key only once: two selections of random aliases may not merge.
            text = f"o{depth}_{self._random.randint(0, 10**9)}: {name}"
            text += " " + self.selection(named, depth + 1)
        return text


def document(seed: int, head: str, type_name: str, *, functions: bool) -> str:
    writer = Writer(seed, functions=functions)
    type_ = schema._schema.type_map[type_name]
    assert isinstance(type_, GraphQLObjectType)
    text = head % writer.selection(type_)
    return "\n".join([text, *writer.fragments])


async def test_queries_are_answered_alike(pair: Pair) -> None:
    for seed in range(GENERATED):
        query = document(seed, "{ messages(last: 4) %s }", "MessageConnection", functions=True)
        planned, walked = await pair.both(query)
        assert planned == walked, query


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
        ("query($w: ID) { messages(with: $w) { nodes { id } } }", {"w": 2}),
        ("query($w: ID) { messages(with: $w) { nodes { id } } }", {"w": "x"}),
        ("query($w: ID) { messages(with: $w) { nodes { id } } }", {"w": ["2"]}),
        ("{ messages(first: 1, after: null) { nodes { id kind } } }", None),
        ("{ messages(with: 2) { nodes { id kind createdAt } } }", None),
        ("{ message(id: 1) { id content receiverId } }", None),
        ("{ message(id: 1) { id sender { id email online } } }", None),
        ("{ me { id email displayName createdAt } }", None),
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
    assert pair.operations.begin(pair.ctx, pair.prepare(query), None) is None


async def test_what_is_not_plain_is_not_begun_without_a_task(pair: Pair) -> None:
    operation = pair.prepare("mutation($c: String) { sendMessage(content: $c) { id } }")
    values: list[Any] = [1, ["x"], {}]
    for value in values:
        assert pair.operations.begin(pair.ctx, operation, {"c": value}) is None


async def test_the_halves_of_a_send_know_the_arguments_of_the_field() -> None:
    mutation = schema._schema.mutation_type
    assert mutation is not None
    definition = mutation.fields["sendMessage"].extensions["strawberry-definition"]
    field = inspect.signature(definition.base_resolver.wrapped_func).parameters
    halves = inspect.signature(messages._draft_of).parameters
    assert [*field][2:] == [*halves]
    for name, parameter in halves.items():
        assert parameter.default == field[name].default, name


@pytest.mark.parametrize(
    "query",
    [
        'mutation { login(email: "a", password: "b") { user { email } } }',  # a function
        "{ a: messages { nodes { id } } b: messages { nodes { id } } }",  # two at the root
        "query($s: Boolean!) { messages { nodes { id @skip(if: $s) } } }",
        "query($f: Int = 2) { messages(first: $f) { nodes { id } } }",  # a default
        "{ __schema { queryType { name } } }",
        "{ __typename }",
        "mutation($f: Upload!) { uploadAttachment(file: $f) { id } }",
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
    results = [await task for task in tasks]
    assert all(result is results[0] for result in results)
    for stream in streams:
        await stream.aclose()


async def test_what_depends_on_the_viewer_is_not_shared(pair: Pair) -> None:
    query = "subscription($after: ID) { messageAdded(after: $after) { sender { email } } }"
    mine = await pair.events(query, planned=True, after="1")
    theirs = await Pair(pair.other, pair.ctx).events(query, planned=True, after="1")
    assert mine != theirs


def test_a_memo_tells_objects_apart_by_identity_and_forgets_the_oldest() -> None:
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        return key.upper()

    memo: Memo[str, str] = Memo(make, recent=2)
    first, same = "".join(["a", "b"]), "".join(["a", "b"])
    assert [memo.of(first), memo.of(first), memo.of(same)] == ["AB"] * 3
    assert len(made) == 2
    memo.of("third")
    memo.of(first)
    assert len(made) == 4
