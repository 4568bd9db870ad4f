"""Automatic persisted queries: the hash alone, once the document is known."""

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from schema.execution import persisted
from schema.execution.documents import RequestRefused
from schema.execution.persisted import PersistedQueries, PersistedQueryUnknown
from schema.execution.requests import GraphQLRequest
from tests.schema.client import open_socket
from tests.support.faces import new_account
from tests.support.node import run_node
from tests.support.server import RunningServer, running_server

QUERY = "query Me { me { id displayName } }"


def extensions_of(query: str, **changes: Any) -> dict[str, Any]:
    hash_ = sha256(query.encode()).hexdigest()
    return {"persistedQuery": {"version": 1, "sha256Hash": hash_, **changes}}


@pytest.fixture
async def http(sqlite_chat: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    account = await new_account(sqlite_chat)
    headers = {"Authorization": f"Bearer {account.token}"}
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=headers) as client:
        yield client


async def test_a_document_is_sent_once_then_its_hash(http: httpx.AsyncClient) -> None:
    query = QUERY + " # sent once"
    extensions = extensions_of(query)
    get = {"extensions": json.dumps(extensions)}
    for answer in (
        await http.post("/graphql", json={"extensions": extensions}),
        await http.get("/graphql", params=get),
        await http.get("/graphql", params=get, headers={"Accept": "text/html, */*"}),
    ):
        assert answer.status_code == 200
        [error] = answer.json()["errors"]
        assert error["message"] == "PersistedQueryNotFound"
        assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    sent = await http.post("/graphql", json={"query": query, "extensions": extensions})
    assert "data" in sent.json()
    for answer in (
        await http.post("/graphql", json={"extensions": extensions}),
        await http.get("/graphql", params=get),
    ):
        assert answer.json() == sent.json()


async def test_over_a_websocket_the_connection_lives(sqlite_chat: RunningServer) -> None:
    query = QUERY + " # over a WebSocket"
    async with open_socket(sqlite_chat, await new_account(sqlite_chat)) as socket:
        payload = {"extensions": extensions_of(query)}
        await socket.send({"type": "subscribe", "id": "1", "payload": payload})
        [error] = (await socket.expect(id="1", type="error"))["payload"]
        assert error["message"] == "PersistedQueryNotFound"
        for sent in ({**payload, "query": query}, payload):
            await socket.send({"type": "subscribe", "id": "1", "payload": sent})
            assert (await socket.expect(id="1", type="next"))["payload"]["data"]
            await socket.expect(id="1", type="complete")


async def test_only_what_is_valid_is_registered(http: httpx.AsyncClient) -> None:
    query = "{ me { noSuchField } }"
    for _ in range(2):
        extensions = extensions_of(query)
        answer = await http.post("/graphql", json={"query": query, "extensions": extensions})
        assert "noSuchField" in answer.json()["errors"][0]["message"]
        answer = await http.post("/graphql", json={"extensions": extensions})
        assert answer.json()["errors"][0]["message"] == "PersistedQueryNotFound"


@pytest.mark.parametrize(
    ("extensions", "says"),
    [
        (extensions_of("{ me { id } }"), "provided sha does not match query"),
        (extensions_of(QUERY, version=2), "Unsupported persisted query version"),
        (extensions_of(QUERY, sha256Hash="ab"), "64 hexadecimal digits"),
        (extensions_of(QUERY, sha256Hash=7), "64 hexadecimal digits"),
        ({"persistedQuery": "x"}, "64 hexadecimal digits"),
        ({"persistedQuery": []}, "64 hexadecimal digits"),
    ],
)
async def test_what_is_wrong_with_a_hash_is_told(
    http: httpx.AsyncClient, extensions: dict[str, Any], says: str
) -> None:
    known = await http.post("/graphql", json={"query": QUERY, "extensions": extensions_of(QUERY)})
    assert "data" in known.json()
    answer = await http.post("/graphql", json={"query": QUERY, "extensions": extensions})
    [error] = answer.json()["errors"]
    assert says in error["message"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_mutation_by_its_hash_is_not_taken_by_get(http: httpx.AsyncClient) -> None:
    query = 'mutation { sendMessage(content: "x") { id } }'
    extensions = extensions_of(query)
    await http.post("/graphql", json={"query": query, "extensions": extensions})
    answer = await http.get("/graphql", params={"extensions": json.dumps(extensions)})
    assert answer.status_code == 405


async def test_without_introspection_a_hash_tells_nothing_of_the_schema(tmp_path: Path) -> None:
    with running_server(tmp_path, introspection=False) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            query = "{ mee { id } __schema { types { name } } }"
            extensions = extensions_of(query)
            for body in ({"extensions": extensions}, {"query": query, "extensions": extensions}):
                text = (await http.post("/graphql", json=body)).text
                assert "Did you mean" not in text
                assert '"me"' not in text


def test_registered_documents_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persisted, "LEAST_CACHED_DOCUMENT", 30)
    monkeypatch.setattr(persisted, "MAX_CACHED_CHARACTERS", 100)
    queries = PersistedQueries()
    texts = [f"{{ a{number} }}" for number in range(5)] + ["x" * 5001, "y" * 65]
    for text in texts:
        queries.register(GraphQLRequest(query=text, extensions=extensions_of(text)))
    kept = []
    for text in texts:
        try:
            kept.append(queries.text_of(GraphQLRequest(extensions=extensions_of(text))))
        except PersistedQueryUnknown:
            pass
        except RequestRefused:
            raise AssertionError from None
    assert kept == ["{ a4 }", "y" * 65]


@pytest.mark.parametrize("get", [False, True], ids=["POST", "GET"])
async def test_apollos_link_falls_back_and_then_sends_hashes(
    sqlite_chat: RunningServer, get: bool
) -> None:
    account = await new_account(sqlite_chat)
    options = {"token": account.token, "get": get}
    run = await run_node("apollo_persisted.mjs", f"{sqlite_chat.url}/graphql", options)
    assert run.code == 0, run.stderr
    data = {"me": {"__typename": "User", "id": str(account.id)}}
    hashed = "GET hash" if get else "POST hash"
    assert [line["data"] for line in run.lines] == [data, data]
    # The second time its hash alone is enough.
    assert [line["sent"] for line in run.lines] == [[hashed, "POST query"], [hashed]]


async def test_where_they_are_not_served_a_hash_alone_says_so(tmp_path: Path) -> None:
    query = "query Kind { __typename }"
    alone = {"extensions": extensions_of(query)}
    with running_server(tmp_path, persisted_queries=False) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            for _ in range(2):
                refused = await http.post("/graphql", json=alone)
                assert refused.status_code == 200
                [error] = refused.json()["errors"]
                assert error["message"] == "PersistedQueryNotSupported"
                both = await http.post("/graphql", json={"query": query, **alone})
                assert both.json() == {"data": {"__typename": "Query"}}
        async with open_socket(server) as socket:
            await socket.send({"type": "subscribe", "id": "1", "payload": alone})
            [same] = (await socket.expect(id="1"))["payload"]
            assert same["extensions"].pop("requestId") != error["extensions"].pop("requestId")
            assert same == error
            assert (await socket.execute(query))["data"]  # the connection lives
        account = await new_account(server)
        options = {"token": account.token, "get": False}
        run = await run_node("apollo_persisted.mjs", f"{server.url}/graphql", options)
        assert run.code == 0, run.stderr
        # Apollo's link asks once, and sends whole documents from then on.
        assert [line["sent"] for line in run.lines] == [["POST hash", "POST query"], ["POST query"]]
