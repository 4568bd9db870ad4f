"""What an operation may be and may cost: each limit, just within and just beyond."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import get_introspection_query

from tests.schema.client import open_socket
from tests.support.faces import Account, new_account
from tests.support.server import RunningServer, running_server

INTROSPECTION = get_introspection_query(
    specified_by_url=True, directive_is_repeatable=True, schema_description=True
)
NODE = """{ id senderId receiverId kind content clientMessageId createdAt
  sender { id displayName email online lastSeenAt createdAt }
  receiver { id displayName email online lastSeenAt createdAt }
  attachment { id kind filename mediaType size sha256 width height durationMs waveform createdAt
    url thumbnailUrl } }"""
ALL = f"{{ edges {{ cursor node {NODE} }} pageInfo {{ hasNextPage endCursor }} }}"
SENDERS = "{ nodes { id content sender { displayName } } }"
# Each of them twice what the next one is: as many fields as there are no numbers for.
ALL_OF_ME = " id displayName createdAt email online lastSeenAt blocked"
DOUBLING = "{ ...f0 }" + "".join(
    f" fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(45)
)


def repeated(part: str, times: int) -> str:
    return "{" + " ".join(part.replace("#", str(number)) for number in range(times)) + "}"


def nested(types: int) -> str:
    return "{ __schema { types { name" + " ofType { name" * types + " }" * types + " } } }"


def pages(count: int, size: str) -> str:
    return " ".join(f"p{number}: messages(first: {size}) {SENDERS}" for number in range(count))


SPREAD = " fragment f on Query { me { id } }"
EDGES = " fragment e on MessageConnection { nodes { id sender { id } } }"
LIMITS = {
    "depth": (nested(12), nested(13), "depth is 16; the limit is 15"),
    "depth of fragments": (
        "{ ...f } fragment f on Query { __schema { types { ...g } } }"
        " fragment g on __Type { name" + " ofType { name" * 12 + " }" * 13,
        "{ ...f } fragment f on Query { __schema { types { ...g } } }"
        " fragment g on __Type { name" + " ofType { name" * 13 + " }" * 14,
        "depth is 16; the limit is 15",
    ),
    "fields": (
        "{ me { __typename __typename " + ALL_OF_ME * 71 + " } }",
        "{ me { __typename __typename __typename " + ALL_OF_ME * 71 + " } }",
        "number of fields is 501; the limit is 500",
    ),
    "fields of fragments": (
        "{ me {" + " ...f" * 49 + "} } fragment f on User {" + " id" * 10 + " }",
        "{ me {" + " ...f" * 50 + "} } fragment f on User {" + " id" * 10 + " }",
        "number of fields is 501; the limit is 500",
    ),
    "root fields": (
        repeated("__typename", 20),
        repeated("__typename", 21),
        "number of root fields is 21; the limit is 20",
    ),
    "root fields of fragments": (
        repeated("...f", 20) + SPREAD,
        repeated("...f", 21) + SPREAD,
        "number of root fields is 21; the limit is 20",
    ),
    "aliases": (
        "{ me " + repeated("a#: id", 30) + " }",
        "{ me " + repeated("a#: id", 31) + " }",
        "number of aliases is 31; the limit is 30",
    ),
    "aliases in a mutation": (
        "mutation " + repeated('a#: login(email: "a@b.c", password: "x") { token }', 20),
        "mutation " + repeated('a#: login(email: "a@b.c", password: "x") { token }', 21),
        "number of root fields is 21; the limit is 20",
    ),
    "directives": (
        "{ me {" + " id @include(if: true)" * 50 + " } }",
        "{ me {" + " id @include(if: true)" * 51 + " } }",
        "number of directives is 51; the limit is 50",
    ),
    "directives of fragments": (
        "{ me {" + " ...f" * 25 + "} } fragment f on User {" + " id @skip(if: false)" * 2 + " }",
        "{ me {" + " ...f" * 26 + "} } fragment f on User {" + " id @skip(if: false)" * 2 + " }",
        "number of directives is 52; the limit is 50",
    ),
    "definitions": (
        "{ ...f0 }"
        + "".join(f" fragment f{n} on Query {{ ...f{n + 1} }}" for n in range(48))
        + " fragment f48 on Query { __typename }",
        "{ ...f0 }"
        + "".join(f" fragment f{n} on Query {{ ...f{n + 1} }}" for n in range(49))
        + " fragment f49 on Query { __typename }",
        "number of definitions is 51; the limit is 50",
    ),
    "comparisons of plain fields": (
        "{ me {" + " id" * 200 + " } }",
        "{ me {" + " id" * 201 + " } }",
        "number of comparisons of fields of the same name is 20100; the limit is 20000",
    ),
    "comparisons of fields with fields": (
        "{ messages { nodes {" + " sender { id }" * 30 + " } } }",
        "{ messages { nodes {" + " sender { id }" * 32 + " } } }",
        "number of comparisons of fields of the same name is 20832; the limit is 20000",
    ),
    "comparisons across fragments": (
        "{ me {"
        + "".join(f" ...f{n}" for n in range(40))
        + " } }"
        + "".join(f" fragment f{n} on User {{ id online }}" for n in range(40)),
        "{ me {"
        + "".join(f" ...f{n}" for n in range(40))
        + " } }"
        + "".join(f" fragment f{n} on User {{ id id id id id id }}" for n in range(40)),
        "number of comparisons of fields of the same name is 28680; the limit is 20000",
    ),
    "characters": (
        "{ __typename }" + " " * 49_986,
        "{ __typename }" + " " * 49_987,
        "The document has 50001 characters; the limit is 50000",
    ),
    "cost of pages": (
        "{" + pages(12, "200") + "}",
        "{" + pages(13, "200") + "}",
        "cost, the number of fields that its answer can have, is 10426; the limit is 10000",
    ),
    "cost of pages that nobody sized": (
        repeated(f"p#: messages {SENDERS}", 20),
        repeated("p#: messages { nodes " + NODE + " }", 13),
        "the limit is 10000",
    ),
    "cost of fragments": (
        "{ messages(last: 200) {" + " ...e" * 16 + "} }" + EDGES,
        "{ messages(last: 200) {" + " ...e" * 17 + "} }" + EDGES,
        "the limit is 10000",
    ),
    "cost of introspection": (
        "{ __schema { types { fields { name type { fields { name args { name } } } } } } }",
        "{ __schema { types {"
        + " fields { name type { fields { name args { name } } } }" * 12
        + "} } }",
        "the limit is 10000",
    ),
}


@pytest.fixture
async def alice(sqlite_chat: RunningServer) -> Account:
    return await new_account(sqlite_chat)


@pytest.fixture
async def http(sqlite_chat: RunningServer, alice: Account) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=headers) as client:
        yield client


async def ask(http: httpx.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    answer = await http.post("/graphql", json={"query": query, "variables": variables})
    result: dict[str, Any] = answer.json()
    return result


def refusal(result: dict[str, Any]) -> str:
    """Check that nothing was executed; return what the one error says."""
    assert "data" not in result
    [error] = result["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    return str(error["message"])


@pytest.mark.parametrize("limit", LIMITS)
async def test_within_a_limit_is_executed_and_beyond_it_is_told_which(
    http: httpx.AsyncClient, limit: str
) -> None:
    within, beyond, says = LIMITS[limit]
    assert "data" in await ask(http, within)
    assert says in refusal(await ask(http, beyond))


async def test_the_introspection_of_tools_is_within(http: httpx.AsyncClient) -> None:
    result = await ask(http, INTROSPECTION)
    assert "errors" not in result
    assert len(result["data"]["__schema"]["types"]) > 20


async def test_spreads_that_double_are_counted_without_walking_them(
    http: httpx.AsyncClient,
) -> None:
    for leaf in ("__typename", "me { id }", "messages { nodes { id } }"):
        started = time.monotonic()
        said = refusal(await ask(http, DOUBLING + f" fragment f45 on Query {{ {leaf} }}"))
        assert "the limit is 500" in said
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("fragment", ["", "...c "])
async def test_page_sizes_from_variables_count_at_execution(
    http: httpx.AsyncClient, fragment: str
) -> None:
    field = f"messages(first: $n) {ALL}"
    query = f"query($n: Int) {{ {field} b: {field} }}"
    if fragment:
        query = f"query($n: Int) {{ ...c }} fragment c on Query {{ {field} b: {field} }}"
    for size in (100, 0, None, -1):
        assert "cost" not in str((await ask(http, query, n=size)).get("errors"))
    assert "data" in await ask(http, query, n=100)
    assert "data" in await ask(http, query)  # pages that nobody sized
    assert "cost" in refusal(await ask(http, query, n=200))
    # Beyond what a page may be, the page says so when it costs less.
    assert "cost" in refusal(await ask(http, query, n=2**31 - 1))
    # What is no number is told as ever.
    for wrong in ("200", [200], {"n": 200}, True, 1.5):
        assert "$n" in refusal(await ask(http, query, n=wrong))


async def test_the_default_of_a_variable_counts(http: httpx.AsyncClient) -> None:
    field = f"messages(last: $n) {ALL}"
    query = f"query($n: Int = 200) {{ {field} b: {field} }}"
    assert "cost" in refusal(await ask(http, query))
    assert "data" in await ask(http, query, n=100)
    assert "data" in await ask(http, query, n=None)


async def test_a_planned_query_is_checked_too(tmp_path: Path) -> None:
    # One field at the root, of plain fields: answered without graphql-core.
    query = "query($n: Int) { messages(first: $n) { nodes { id content createdAt } } }"
    with running_server(tmp_path, max_query_cost=1000, max_page_size=500) as server:
        alice = await new_account(server)
        headers = {"Authorization": f"Bearer {alice.token}"}
        async with (
            httpx.AsyncClient(base_url=server.url, headers=headers) as http,
            open_socket(server, alice) as socket,
        ):
            for _ in range(2):  # a known document, the second time
                assert "data" in await ask(http, query, n=332)
                assert "cost" in refusal(await ask(http, query, n=333))
                assert "data" in await socket.execute(query, {"n": 332})
                await socket.subscribe("beyond", query, {"n": 333})
                [error] = (await socket.expect(id="beyond", type="error"))["payload"]
                assert "is 1001; the limit is 1000" in error["message"]


async def test_a_subscription_is_held_to_the_limits(
    sqlite_chat: RunningServer, alice: Account
) -> None:
    async with open_socket(sqlite_chat, alice) as socket:
        fields = " ".join(f"a{number}: id" for number in range(31))
        await socket.subscribe("s", f"subscription {{ messageAdded {{ {fields} }} }}")
        [error] = (await socket.expect(id="s", type="error"))["payload"]
        assert "number of aliases is 31" in error["message"]


async def test_each_limit_is_a_setting(tmp_path: Path) -> None:
    tight: dict[str, Any] = {
        "max_query_tokens": 100,
        "max_query_depth": 5,
        "max_query_fields": 50,
        "max_query_root_fields": 2,
        "max_query_aliases": 1,
        "max_query_directives": 1,
        "max_query_cost": 1000,
    }
    with running_server(tmp_path, **tight) as server:
        alice = await new_account(server)
        headers = {"Authorization": f"Bearer {alice.token}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
            assert "data" in await ask(http, "{ me { id } }")
            for query, says in (
                ("{" + "a" * 3 + " a" * 100 + "}", "100 tokens"),
                (nested(3), "depth is 6; the limit is 5"),
                ("{ me {" + " id" * 50 + "} }", "number of fields is 51; the limit is 50"),
                ("{ me { id } __typename x: __typename }", "root fields is 3; the limit is 2"),
                ("{ me { a: id b: id } }", "aliases is 2; the limit is 1"),
                ("{ me { id @skip(if: false) @include(if: true) } }", "directives is 2;"),
                (
                    "{ messages(first: 200) { nodes { id kind content senderId createdAt } } }",
                    "cost",
                ),
            ):
                assert says in refusal(await ask(http, query)), query
