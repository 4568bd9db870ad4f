"""Plans of unions, interfaces, input objects and lists, on a schema that has them everywhere."""

# mypy: disallow-untyped-decorators=False

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
import strawberry

from resolvers.context import Context
from schema.context import OperationContext
from schema.execution.compiler import MAX_OBJECTS
from schema.execution.documents import Operation, RequestRefused
from schema.execution.operations import Operations
from schema.execution.plans import SAME_FOR_ALL
from schema.execution.requests import GraphQLRequest
from schema.loaders import Loaders
from tests.resolvers.conftest import running_context
from tests.schema.writer import write_document

GENERATED = 200
MOMENT = datetime(2026, 11, 27, 12, tzinfo=UTC)


@strawberry.enum
class Colour(Enum):
    RED = "r"
    BLUE = "b"


@strawberry.interface
class Event:
    cursor: str
    at: datetime
    next: Annotated["Event", strawberry.lazy(__name__)] | None = None

    @strawberry.field(metadata=SAME_FOR_ALL)
    def place(self) -> str:
        return f"{type(self).__name__} {self.cursor}"


@strawberry.interface
class Coloured:
    colour: Colour | None


@strawberry.type
class Painted(Event, Coloured):
    before: Annotated["Change", strawberry.lazy(__name__)] | None = None
    things: list[Event] = strawberry.field(default_factory=list)


@strawberry.type
class Moved(Event):
    distance: float
    tags: list[list[str | None]] | None = None

    @strawberry.field
    async def other(self) -> Event:
        await asyncio.sleep(0)
        return painted(7)


@strawberry.type
class Gone:
    reason: str


@strawberry.type
class Lost:
    reason: str


Change = Annotated[Painted | Moved | Gone, strawberry.union(name="Change")]


def painted(number: int, **values: Any) -> Painted:
    return Painted(
        cursor=f"p{number}", at=MOMENT, colour=Colour.BLUE if number % 2 else None, **values
    )


def changes() -> list[Any]:
    moved = Moved(cursor="m", at=MOMENT, distance=1.5, tags=[["a", None], []])
    return [
        painted(1),
        moved,
        Gone(reason='"ü"'),
        None,
        painted(2, before=moved, things=[moved, painted(3)]),
        painted(4, before=Gone(reason=""), things=[]),
    ]


@strawberry.input
class Point:
    x: int
    y: float = 0.5


@strawberry.input
class Order:
    name: str
    colour: Colour | None = Colour.RED
    points: list[Point] | None = None
    tags: list[str | None] | None = strawberry.UNSET
    since: datetime | None = None
    parent: Annotated["Order", strawberry.lazy(__name__)] | None = None


@strawberry.type
class Query:
    @strawberry.field
    def changes(self) -> list[Change | None]:
        return changes()

    @strawberry.field
    async def latest(self, at: int) -> Change | None:
        found: Change | None = changes()[at]
        return found

    @strawberry.field
    def events(self) -> list[Event]:
        return [each for each in changes() if isinstance(each, Event)]

    @strawberry.field
    def wrong(self) -> Change | None:
        return Lost(reason="of no type of the union")  # type: ignore[return-value]

    @strawberry.field
    def echo(
        self,
        ids: list[strawberry.ID] | None = None,
        order: Order | None = None,
        rows: list[list[int] | None] | None = None,
        colours: list[Colour] | None = None,
        first: int = 7,
    ) -> str:
        return repr((ids, order, rows, colours, first))


@strawberry.type
class Mutation:
    @strawberry.mutation
    def place(self, order: Order, ids: list[strawberry.ID]) -> str:
        return repr((order, ids))


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def changed(self, order: Order | None = None) -> AsyncGenerator[Change | None, None]:
        for change in changes():
            yield change


SCHEMA = strawberry.Schema(Query, Mutation, Subscription, types=[Lost])


@pytest.fixture
async def ctx(tmp_path: Path) -> AsyncIterator[Context]:
    url = f"sqlite:///{tmp_path / 'p.db'}"
    wide = {"max_query_fields": 10_000, "max_query_aliases": 10_000, "max_query_cost": 10**6}
    async with running_context(tmp_path, database_url=url, max_query_tokens=4000, **wide) as ctx:
        yield ctx


class Both:
    """Answers by the plan, and as graphql-core does without one."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._operations = Operations(SCHEMA, ctx)

    def prepare(self, query: str) -> Operation:
        return self._operations.prepare(self._ctx, GraphQLRequest(query=query))

    async def answers(self, query: str, variables: dict[str, Any] | None = None) -> list[bytes]:
        operation = self.prepare(query)
        assert operation.plan is not None, query
        walked = await self._answer(replace(operation, plan=None), variables)
        if b'"errors"' not in walked:  # the plan answers by itself, and does not leave it to a walk
            context = OperationContext(self._ctx, Loaders(self._ctx))
            assert await operation.plan.execute(context, variables) is not None, query
        return [await self._answer(operation, variables), walked]

    async def _answer(self, operation: Operation, variables: dict[str, Any] | None) -> bytes:
        try:
            result = await self._operations.execute(self._ctx, operation, variables)
        except RequestRefused as refused:
            result = {"errors": refused.errors}
        return msgspec.json.encode(result)

    async def events(self, query: str) -> list[list[bytes]]:
        operation = self.prepare(query)
        assert operation.plan is not None, query
        walked = await self._events(replace(operation, plan=None))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self._operations, "_show_event", None)  # the plan shows them by itself
            return [await self._events(operation), walked]

    async def _events(self, operation: Operation) -> list[bytes]:
        stream = self._operations.subscribe(self._ctx, operation, None)
        async with aclosing(stream):
            return [bytes(result) async for results in stream for result in results]


@pytest.fixture
def both(ctx: Context) -> Both:
    return Both(ctx)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("{ changes %s }", "Change"),
        ("{ a: latest(at: 4) %s }", "Change"),
        ("{ latest(at: 3) %s }", "Change"),
        ("{ events %s }", "Event"),
    ],
)
async def test_what_is_of_several_types_is_answered_alike(both: Both, head: str, name: str) -> None:
    for seed in range(GENERATED):
        query = write_document(SCHEMA._schema, seed, head, name, functions=True)
        planned, walked = await both.answers(query)
        assert planned == walked, query
        assert b'"errors"' not in planned


async def test_events_of_several_types_are_shown_alike(both: Both) -> None:
    for seed in range(GENERATED):
        query = write_document(
            SCHEMA._schema, seed, "subscription { changed %s }", "Change", functions=True
        )
        planned, walked = await both.events(query)
        assert planned == walked, query
        assert len(planned) == len(changes())


class Values:
    """Makes values for the arguments at random, good and bad, as JSON and as literals."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.declared: dict[str, str] = {}
        self.variables: dict[str, Any] = {}

    def arguments(self) -> str:
        types = {
            "ids": "[ID!]",
            "order": "Order",
            "rows": "[[Int!]]",
            "colours": "[Colour!]",
            "first": "Int!",
        }
        names = [name for name in types if self._random.random() < 0.5] or ["ids"]
        return ", ".join(f"{name}: {self._given(types[name])}" for name in names)

    def _given(self, type_: str) -> str:
        if self._random.random() < 0.6:
            return self._variable(type_)
        return self._literal(type_)

    def _variable(self, type_: str) -> str:
        name = f"v{len(self.declared)}"
        declared = type_ if type_.endswith("!") or self._random.random() < 0.7 else f"{type_}!"
        default = ""
        if self._random.random() < 0.2:
            default = f" = {self._literal(type_, bare=True)}"
        self.declared[name] = f"${name}: {declared}{default}"
        if self._random.random() < 0.85:
            self.variables[name] = self._json(type_)
        return f"${name}"

    def _json(self, type_: str) -> Any:
        if self._random.random() < 0.06:
            return self._random.choice(
                [None, "x", 1, 1.5, True, [], {}, [None], {"name": 1}, "RED"]
            )
        bare = type_.removesuffix("!")
        if bare.startswith("["):
            return [self._json(bare[1:-1]) for _ in range(self._random.randint(0, 3))]
        return self._json_of(bare)

    def _json_of(self, name: str) -> Any:
        match name:
            case "ID":
                return self._random.choice(["1", "x", "", 7])
            case "Int":
                return self._random.choice([0, -1, 2**31 - 1, 5.0])
            case "Float":
                return self._random.choice([0.5, 3, -1e9])
            case "Colour":
                return self._random.choice(["RED", "BLUE"])
            case "String":
                return self._random.choice(["a", "ü\u2028", ""])
            case "DateTime":
                return "2026-11-27T12:00:00+00:00"
        return self._object(name, self._json)

    def _object(self, name: str, value: Any) -> dict[str, Any]:
        optional, required = {
            "Point": ({"y": "Float!"}, {"x": "Int!"}),
            "Order": (
                {
                    "colour": "Colour",
                    "points": "[Point!]",
                    "tags": "[String]",
                    "since": "DateTime",
                    "parent": "Order",
                },
                {"name": "String!"},
            ),
        }[name]
        chosen = {key: type_ for key, type_ in optional.items() if self._random.random() < 0.4}
        return {key: value(type_) for key, type_ in (required | chosen).items()}

    def _literal(self, type_: str, *, bare: bool = False) -> str:
        if not bare and self._random.random() < 0.1:
            return self._variable(type_)
        if not type_.endswith("!") and self._random.random() < 0.1:
            return "null"
        name = type_.removesuffix("!")
        if name.startswith("["):
            items = [
                self._literal(name[1:-1], bare=bare) for _ in range(self._random.randint(0, 3))
            ]
            return f"[{', '.join(items)}]"
        if name in {"Point", "Order"}:
            fields = self._object(name, lambda inner: self._literal(inner, bare=bare))
            return "{" + ", ".join(f"{key}: {text}" for key, text in fields.items()) + "}"
        found = self._json_of(name)
        if name == "Int":
            found = int(found)
        return found if name == "Colour" else msgspec.json.encode(found).decode()


async def test_arguments_of_every_shape_reach_the_function_alike(both: Both) -> None:
    answered = refused = 0
    for seed in range(GENERATED * 5):
        values = Values(seed)
        call = f"echo({values.arguments()})"
        head = f"query({', '.join(values.declared.values())})" if values.declared else "query"
        query = f"{head} {{ {call} }}"
        try:
            planned, walked = await both.answers(query, values.variables)
        except RequestRefused:
            continue  # a default that is null where that must not be
        assert planned == walked, (query, values.variables)
        if b'"errors"' in planned:
            refused += 1
        else:
            answered += 1
    assert answered > GENERATED
    assert refused > GENERATED / 4


async def test_a_mutation_takes_an_input_object(both: Both) -> None:
    query = "mutation($o: Order!, $i: [ID!]!) { place(order: $o, ids: $i) }"
    order = {"name": "n", "points": [{"x": 1}, {"x": 2, "y": 3}], "parent": {"name": "p"}}
    planned, walked = await both.answers(query, {"o": order, "i": ["1", "2"]})
    assert planned == walked
    assert b"Point(x=2, y=3.0)" in planned


async def test_what_holds_too_much_is_refused_alike(both: Both) -> None:
    query = "query($o: Order, $i: [ID!]) { echo(order: $o, ids: $i) }"
    deep: dict[str, Any] = {"name": "n"}
    for _ in range(30):
        deep = {"name": "n", "parent": deep}
    for variables in ({"o": deep}, {"i": ["x"] * 3000}, {"i": ["x"], "unused": [0] * 3000}):
        planned, walked = await both.answers(query, variables)
        assert planned == walked


async def test_a_value_of_none_of_the_types_is_an_error_and_not_data(both: Both) -> None:
    planned, walked = await both.answers("{ wrong { ... on Event { cursor } } }")
    assert planned == walked
    assert b'"INTERNAL"' in planned


async def test_interfaces_within_interfaces_do_not_multiply_without_end(both: Both) -> None:
    inner = "cursor"
    for _ in range(5):
        inner = f"next {{ {inner} }}"
    assert both.prepare(f"{{ events {{ {inner} }} }}").plan is not None
    for _ in range(4):
        inner = f"next {{ {inner} }}"
    assert MAX_OBJECTS < 2**9
    assert both.prepare(f"{{ events {{ {inner} }} }}").plan is None
