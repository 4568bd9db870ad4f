"""Any field that returns a future is answered from its callback, as graphql-core answers it."""

# mypy: disallow-untyped-decorators=False

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import strawberry

from resolvers.context import Context
from resolvers.errors import Conflict
from resolvers.pending import Pending
from schema.execution.operations import Operations
from schema.execution.requests import GraphQLRequest
from tests.resolvers.conftest import running_context


@strawberry.type
class Thing:
    name: str


def later(name: str) -> "asyncio.Future[Thing]":
    """Return a future that brings a thing, or that fails, in the loop's next turn."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Thing] = loop.create_future()
    if name == "broken":
        loop.call_soon(future.set_exception, Conflict("It is broken"))
    else:
        loop.call_soon(future.set_result, Thing(name=name))
    return future


@strawberry.type
class Query:
    @strawberry.field
    def ready(self) -> str:
        return "at once"


@strawberry.type
class Mutation:
    @strawberry.mutation(graphql_type=Thing)
    def make(self, name: str) -> "asyncio.Future[Thing]":
        return later(name)

    @strawberry.mutation(graphql_type=Thing | None)
    def rename(self, name: str) -> Pending[Thing | None]:
        return Pending.of(later(name)).then(
            lambda thing: None if thing.name == "" else Thing(name=thing.name.upper())
        )

    @strawberry.mutation(graphql_type=Thing)
    def write(self, name: str) -> object:
        async def written() -> Thing:
            return await later(name)

        return written()

    @strawberry.mutation
    def refuse(self, name: str) -> Thing:
        raise Conflict(f"Never {name}")


@pytest.fixture
async def ctx(tmp_path: Path) -> AsyncIterator[Context]:
    async with running_context(tmp_path, database_url=f"sqlite:///{tmp_path / 'p.db'}") as ctx:
        yield ctx


@pytest.fixture
def operations(ctx: Context) -> Operations:
    return Operations(strawberry.Schema(Query, Mutation), ctx)


@pytest.mark.parametrize("field", ["make", "rename", "write", "refuse"])
@pytest.mark.parametrize("name", ["one", "broken", ""])
async def test_a_field_that_returns_a_future_needs_no_task_of_ours(
    ctx: Context, operations: Operations, field: str, name: str
) -> None:
    query = f"mutation($n: String!) {{ a: {field}(name: $n) {{ __typename name }} }}"
    operation = operations.prepare(ctx, GraphQLRequest(query=query))
    tasks = asyncio.all_tasks()
    started = operations.start(ctx, operation, {"n": name})
    if field != "write":  # a coroutine that a plain function has made takes a task
        assert asyncio.all_tasks() == tasks
    if isinstance(started, Pending):
        await asyncio.wait([started.future])
        started = started.result()
    assert started is not None
    walked = await operations.execute(ctx, replace(operation, plan=None), {"n": name})
    assert started == walked == await operations.execute(ctx, operation, {"n": name})
    assert ("errors" in walked) == (name == "broken" or field == "refuse")


async def test_a_value_that_is_there_is_answered_at_once(
    ctx: Context, operations: Operations
) -> None:
    operation = operations.prepare(ctx, GraphQLRequest(query="{ ready }"))
    assert operations.start(ctx, operation, None) == {"data": {"ready": "at once"}}
