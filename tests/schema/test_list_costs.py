"""What a list without pages costs is what it holds; reading much has a rate."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from resolvers.context import Context
from resolvers.messages import send_message
from resolvers.people.blocks import block_user
from schema.execution.documents import RequestRefused
from schema.execution.operations import Operations
from schema.execution.plans import Result
from schema.execution.requests import GraphQLRequest
from schema.root import schema
from settings import Settings
from tests.resolvers.conftest import join, running_context
from tests.support.presence import connected

FIELDS = "id displayName createdAt online lastSeenAt"


# What a chat app's two screens ask for.
MESSAGES = """query($id: ID!, $n: Int = 50) { messages(conversation: $id, last: $n) {
  edges { cursor node { __typename id kind content clientMessageId createdAt editedAt deletedAt
    conversationId senderId receiverId sender { id displayName avatarUrl online }
    attachment { id kind filename mediaType size width height durationMs waveform url thumbnailUrl }
    reactions { emoji count mine } replyToId
    replyTo { id kind content deletedAt senderId sender { id displayName }
      attachment { id kind filename thumbnailUrl } } } }
  pageInfo { hasPreviousPage startCursor } } }"""
CONVERSATIONS = """{ conversations { cursor edges { cursor node {
  id kind title createdAt pinned archived mutedUntil unreadCount readUpTo deliveredUpTo role
  avatar { id url thumbnailUrl } peer { id displayName avatarUrl online lastSeenAt }
  members { nodes { role user { id displayName avatarUrl } } }
  marks { readUpTo deliveredUpTo user { id } }
  lastMessage { id kind content createdAt editedAt deletedAt senderId sender { id displayName }
    attachment { id kind filename durationMs } reactions { emoji count mine } } } }
  pageInfo { hasNextPage endCursor } } }"""


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


async def test_the_screens_of_an_app_cost_half_of_the_limit(tmp_path: Path) -> None:
    default = int(Settings.model_fields["max_query_cost"].default)
    async with running_context(tmp_path, max_query_cost=default // 2) as ctx:
        viewer, peer = await join(ctx), await join(ctx)
        sent = await send_message(viewer, receiver_id=peer.user.id, content="hello")
        [shown] = (await ask(viewer, CONVERSATIONS))["data"]["conversations"]["edges"]
        assert len(shown["node"]["members"]["nodes"]) == 2
        [edge] = (await ask(viewer, MESSAGES, id=shown["node"]["id"]))["data"]["messages"]["edges"]
        assert edge["node"]["id"] == str(sent.id)
        assert cost_told(await ask(viewer, MESSAGES, id=shown["node"]["id"], n=200)) > default


async def test_members_and_marks_count_as_few_unless_many_are_asked_for(tmp_path: Path) -> None:
    async with running_context(tmp_path) as ctx:
        viewer = await join(ctx)
        query = """query($n: Int, $m: Int = %s) { conversations(first: $n) { nodes {
            members(first: $m) { nodes { user { id email } } }
            marks(first: $m) { user { id email } } } } }"""
        few = (query % 20).replace("(first: $m)", "").replace(", $m: Int = 20", "")
        assert "data" in await ask(viewer, few, n=200)  # 200 × (1 + 1 + 5 × 3 + 1 + 3 × 3)
        for beyond in (query % 20, query % 200):
            assert cost_told(await ask(viewer, beyond, n=200)) > 200 * 40 * 3
        assert cost_told(await ask(viewer, query % 20, n=200, m=10)) == 2 + 200 * (3 + 20 * 3)
        aliases = " ".join(f"a{n}: {few.partition('{ ')[2][:-2]}" for n in range(3))
        assert cost_told(await ask(viewer, f"query($n: Int) {{ {aliases} }}", n=200)) > 10_000


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
