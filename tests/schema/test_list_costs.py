"""What a list without pages costs is what it holds; reading much has a rate."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from resolvers.context import Context
from resolvers.people.blocks import block_user
from schema.execution.documents import RequestRefused
from schema.execution.operations import Operations
from schema.execution.plans import Result
from schema.execution.requests import GraphQLRequest
from schema.root import schema
from tests.resolvers.conftest import join, running_context
from tests.support.presence import connected

FIELDS = "id displayName createdAt online lastSeenAt"


async def ask(ctx: Context, query: str, **variables: Any) -> Result:
    """Return the result; a document is known the second time."""
    operations = Operations(schema, ctx)
    for _ in range(2):
        try:
            operation = operations.prepare(ctx, GraphQLRequest(query=query))
            result = await operations.execute(ctx, operation, variables)
        except RequestRefused as refused:
            return {"errors": refused.errors}
    return result


def cost_told(result: Result) -> int:
    assert "data" not in result
    [error] = result["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    return int(error["message"].partition(" is ")[2].partition(";")[0])


async def test_everyone_online_costs_as_many_as_there_are(tmp_path: Path) -> None:
    async with running_context(tmp_path) as ctx:
        viewer = await join(ctx)
        query = f"{{ a: onlineUsers {{ {FIELDS} }} b: onlineUsers {{ {FIELDS} }} }}"
        with ExitStack() as stack:
            for user_id in range(viewer.user.id, viewer.user.id + 900):
                stack.enter_context(connected(ctx.presence, user_id))
            assert "data" in await ask(viewer, query)  # 2 × (1 + 900 × 5)
            for user_id in range(viewer.user.id + 900, viewer.user.id + 2000):
                stack.enter_context(connected(ctx.presence, user_id))
            assert cost_told(await ask(viewer, query)) == 2 * (1 + 2000 * 5)
            # So many of them cost no more than so many.
            few = "query($n: Int) { " + query[1:].replace("onlineUsers", "onlineUsers(first: $n)")
            result = await ask(viewer, few, n=200)
            assert [user["id"] for user in result["data"]["a"]] == [str(viewer.user.id)]
            assert cost_told(await ask(viewer, few)) == 2 * (1 + 2000 * 5)
            for beyond in (-1, 201, 2**31 - 1):
                [error, *_] = (await ask(viewer, few, n=beyond))["errors"]
                assert error["message"] == "A page has 0 to 200 users"


async def test_blocked_users_cost_as_many_as_there_are(tmp_path: Path) -> None:
    async with running_context(tmp_path, max_query_cost=1000) as ctx:
        viewer = await join(ctx)
        aliases = " ".join(f"a{number}: blockedUsers {{ {FIELDS} }}" for number in range(20))
        assert "data" in await ask(viewer, f"{{ {aliases} }}")
        for _ in range(10):
            await block_user(viewer, (await join(ctx)).user.id)
        assert cost_told(await ask(viewer, f"{{ {aliases} }}")) == 20 * (1 + 10 * 5)
        assert "data" in await ask(viewer, f"{{ blockedUsers {{ {FIELDS} }} }}")


async def test_sessions_cost_as_many_as_there_can_be(tmp_path: Path) -> None:
    async with running_context(tmp_path, max_query_cost=1000) as ctx:
        viewer = await join(ctx)
        assert "data" in await ask(viewer, "{ sessions { id client address } }")
        aliases = " ".join(f"a{number}: sessions {{ id client address }}" for number in range(4))
        assert cost_told(await ask(viewer, f"{{ {aliases} }}")) == 4 * (1 + 100 * 3)


@pytest.mark.parametrize(
    ("query", "setting"),
    [
        ('{ users(search: "a") { nodes { id } } }', "searches_per_user"),
        ("{ users { nodes { id } } }", "reads_per_user"),
        ("{ messages { nodes { id } } }", "reads_per_user"),
        ("{ onlineUsers { id } }", "reads_per_user"),
    ],
)
async def test_reading_much_has_a_rate(tmp_path: Path, query: str, setting: str) -> None:
    async with running_context(tmp_path, limits=True, **{setting: "4/hour"}) as ctx:
        viewer, other = await join(ctx), await join(ctx)
        for _ in range(2):
            assert "errors" not in await ask(viewer, query)
        [error] = (await ask(viewer, query))["errors"]
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert error["extensions"]["retryAfterMs"] > 0
        assert "errors" not in await ask(other, query)
