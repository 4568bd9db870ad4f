"""What a subscription's field returns: a source or a generator; both end with their reader."""

# mypy: disallow-untyped-decorators=False

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import strawberry

from events.slices import Pace
from resolvers.context import Context
from resolvers.errors import Conflict
from schema.execution.batches import Batch, BatchResults
from schema.execution.operations import Operations
from schema.execution.requests import GraphQLRequest
from schema.execution.sources import Source
from tests.resolvers.conftest import running_context
from tests.schema.line import until

open_sources: set[str] = set()


@strawberry.type
class Number:
    value: int
    encoded: strawberry.Private[dict[object, bytes]] = dataclasses.field(default_factory=dict)

    @strawberry.field
    def own(self) -> str:  # says nothing of being the same for all: it is made for each
        return f"{self.value}"


async def counting(name: str) -> AsyncGenerator[Number, None]:
    open_sources.add(name)
    try:
        for value in range(1, 5):
            yield Number(value=value)
            await asyncio.sleep(0)
        if name == "broken":
            raise Conflict("It ended badly")
        await asyncio.Event().wait()
    finally:
        open_sources.discard(name)


@strawberry.type
class Query:
    zero: int = 0


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def plain(self, name: str) -> AsyncGenerator[Number, None]:
        async with aclosing(counting(name)) as numbers:
            async for number in numbers:
                yield number

    @strawberry.subscription(graphql_type=Number)
    def shown(self, name: str) -> Source[Number]:
        async def read(consumer: object) -> AsyncGenerator[Sequence[int], None]:
            async with aclosing(counting(name)) as numbers:
                async for number in numbers:
                    yield (number.value,)

        return Source(read, lambda value: Number(value=value))

    @strawberry.subscription(graphql_type=Number)
    def batched(self, name: str) -> Source[Number]:
        async def read(consumer: object) -> AsyncGenerator[Batch, None]:
            async with aclosing(counting(name)) as numbers:
                async for number in numbers:
                    if number.value % 2:
                        yield Batch([number, Number(value=number.value + 1)])

        return Source(read, pace=Pace(per_second=10_000))


@pytest.fixture
async def ctx(tmp_path: Path) -> AsyncIterator[Context]:
    async with running_context(tmp_path, database_url=f"sqlite:///{tmp_path / 's.db'}") as ctx:
        yield ctx


@pytest.fixture
def operations(ctx: Context) -> Operations:
    return Operations(strawberry.Schema(Query, subscription=Subscription), ctx)


async def read(
    ctx: Context, operations: Operations, query: str, *, planned: bool, enough: int = 4
) -> list[bytes]:
    """Return so many results; the reader leaves then."""
    operation = operations.prepare(ctx, GraphQLRequest(query=query))
    assert operation.plan is not None
    if not planned:
        operation = replace(operation, plan=None)
    seen: list[bytes] = []
    async with aclosing(operations.subscribe(ctx, operation, None)) as stream:
        async for results in stream:
            seen += map(bytes, results)
            if len(seen) >= enough:
                break
    return seen


@pytest.mark.parametrize("field", ["plain", "shown", "batched"])
@pytest.mark.parametrize("selection", ["value", "value own"])
@pytest.mark.parametrize("planned", [True, False], ids=["planned", "walked"])
async def test_a_source_and_a_generator_are_shown_alike(
    ctx: Context, operations: Operations, field: str, selection: str, planned: bool
) -> None:
    query = f'subscription {{ n: {field}(name: "{field}") {{ {selection} }} }}'
    seen = await read(ctx, operations, query, planned=planned)
    expected = [
        {"value": value, "own": f"{value}"} if "own" in selection else {"value": value}
        for value in range(1, 5)
    ]
    assert seen == [msgspec.json.encode({"data": {"n": number}}) for number in expected]
    assert open_sources == set()  # the reader has left


@pytest.mark.parametrize("field", ["plain", "shown", "batched"])
@pytest.mark.parametrize("planned", [True, False], ids=["planned", "walked"])
async def test_a_source_that_fails_ends_its_reader_with_the_error(
    ctx: Context, operations: Operations, field: str, planned: bool
) -> None:
    query = f'subscription {{ {field}(name: "broken") {{ value }} }}'
    with pytest.raises(Conflict, match="It ended badly"):
        await read(ctx, operations, query, planned=planned, enough=5)
    assert open_sources == set()


@pytest.mark.parametrize("field", ["plain", "shown", "batched"])
@pytest.mark.parametrize("planned", [True, False], ids=["planned", "walked"])
async def test_a_reader_that_is_cancelled_ends_its_source(
    ctx: Context, operations: Operations, field: str, planned: bool
) -> None:
    query = f'subscription {{ {field}(name: "waits") {{ value }} }}'
    reading = asyncio.create_task(read(ctx, operations, query, planned=planned, enough=5))
    await until(lambda: "waits" in open_sources)
    for _ in range(20):  # past the four, it waits
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert open_sources == set()


async def test_a_batch_is_encoded_once_for_all_who_subscribed_alike() -> None:
    batch = Batch([Number(value=1), Number(value=2)])
    made: list[int] = []

    def encode(number: Number) -> bytes:
        made.append(number.value)
        return msgspec.json.encode(number.value)

    one, other = BatchResults(batch, encode), BatchResults(batch, encode)
    assert one.pieces(3, lambda size: b"|") is other.pieces(3, lambda size: b"|")
    assert [*one] == [*other] == [b"1", b"2"]
    assert made == [1, 2]
    assert b"abc".join(one.pieces(3, lambda size: b"|%d|" % size)) == (
        b'|{"id":"abc","type":"next","payload":1}|{"id":"abc","type":"next","payload":2}'
    )
