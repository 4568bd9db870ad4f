"""GraphQL over HTTP: the specification, and whatever else may come in by that door."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from resolvers.errors import Code
from tests.support.faces import new_account
from tests.support.node import run_node
from tests.support.server import RunningServer

JSON = "application/json"
RESPONSE_JSON = "application/graphql-response+json"
CODES = {code.value for code in Code}
ME = "{ me { id } }"
USER = "query($id: ID!) { user(id: $id) { id } }"
MESSAGES = "query($n: Int) { messages(first: $n) { nodes { id } } }"
SEARCH = "query($s: String) { users(search: $s) { nodes { id } } }"
TWO = "query A { me { id } } query B { me { id } }"
FRAGMENT = "query A { ...F } fragment F on Query { me { id } }"
CIRCLE = "query { ...a } fragment a on Query { ...b } fragment b on Query { ...a }"
TOO_DEEP_IN_TYPES = "{__schema{types" + "{fields{type" * 20 + "{name" + "}" * 42 + "}}"
DEEP_LIST: Any = msgspec.json.decode(b"[" * 90 + b"]" * 90)


def post(query: Any, **more: Any) -> bytes:
    return msgspec.json.encode({"query": query, **more})


def check_errors(response: httpx.Response) -> str:
    """Check the one form of every error; return the first one's code."""
    body = response.json()
    assert set(body) <= {"errors", "data"}
    assert body["errors"]
    for error in body["errors"]:
        assert set(error) <= {"message", "locations", "path", "extensions"}
        assert isinstance(error["message"], str)
        assert error["message"]
        assert "Traceback" not in error["message"]
        assert set(error["extensions"]) <= {"code", "retryAfterMs"}
        assert error["extensions"]["code"] in CODES
    return str(body["errors"][0]["extensions"]["code"])


@pytest.fixture
async def http(sqlite_chat: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client; whatever the test sent, the server answers the next one too."""
    headers = {"Content-Type": JSON, "Accept": RESPONSE_JSON}
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers=headers) as client:
        yield client
        after = await client.post("/graphql", content=post("{ __typename }"))
        assert (after.status_code, after.json()) == (200, {"data": {"__typename": "Query"}})


async def test_the_audits_of_graphql_http_pass(sqlite_chat: RunningServer) -> None:
    run = await run_node("graphql_http_audits.mjs", f"{sqlite_chat.url}/graphql")
    assert run.code == 0, run.stderr
    [report] = run.lines
    assert (report["warn"], report["error"], report["notice"]) == ([], [], [])
    assert report["ok"] == report["total"] >= 61


@pytest.mark.parametrize(
    ("accept", "spoken"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        ("Application/JSON; charset=utf-8", JSON),
        (RESPONSE_JSON, RESPONSE_JSON),
        (f"{RESPONSE_JSON}, {JSON}", RESPONSE_JSON),
        (f"{JSON}, {RESPONSE_JSON}", RESPONSE_JSON),
        (f"{RESPONSE_JSON};q=0.5, {JSON};q=0.9", JSON),
        (f"{RESPONSE_JSON};q=0.9, {JSON};q=0.5", RESPONSE_JSON),
        (f"{JSON};q=0, {RESPONSE_JSON};q=0, */*", None),
        ("text/html, */*;q=0.1", JSON),
        ("multipart/mixed, application/graphql-response+json, application/json", RESPONSE_JSON),
        (f"{JSON};q=nonsense", JSON),
        ("text/html", None),
        ("*/*;q=0", None),
        (",;=,;q=;", None),
    ],
)
async def test_the_answer_is_in_a_type_that_the_client_accepts(
    http: httpx.AsyncClient, accept: str | None, spoken: str | None
) -> None:
    request = http.build_request("POST", "/graphql", content=post("{ __typename }"))
    if accept is None:
        del request.headers["Accept"]
    else:
        request.headers["Accept"] = accept
    answer = await http.send(request)
    if spoken is None:
        assert answer.status_code == 406
        assert check_errors(answer) == "BAD_USER_INPUT"
    else:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == f"{spoken}; charset=utf-8"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused(http: httpx.AsyncClient, method: str) -> None:
    answer = await http.request(method, "/graphql", content=post("{ __typename }"))
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"
    assert check_errors(answer) == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/mixed; boundary=x",
        "application/graphql",
        "application/json; charset=utf-16",
        'application/json; charset="iso-8859-1"',
        ";;;",
    ],
)
async def test_only_json_bodies_are_read(http: httpx.AsyncClient, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    answer = await http.post("/graphql", content=post("{ __typename }"), headers=headers)
    assert answer.status_code == 415
    assert check_errors(answer) == "BAD_USER_INPUT"


async def test_a_body_beyond_the_limit_is_refused(
    http: httpx.AsyncClient, sqlite_chat: RunningServer
) -> None:
    limit = sqlite_chat.settings.max_body_bytes
    body = post("{ __typename }", variables={"pad": ""})
    fitting = body.replace(b'"pad":""', b'"pad":"%s"' % (b"x" * (limit - len(body))))
    assert len(fitting) == limit
    assert (await http.post("/graphql", content=fitting)).json()["data"]
    for _ in range(3):
        answer = await http.post("/graphql", content=fitting + b" " * 4 * limit)
        assert answer.status_code == 413
        assert check_errors(answer) == "PAYLOAD_TOO_LARGE"


async def test_a_get_changes_nothing(http: httpx.AsyncClient, sqlite_chat: RunningServer) -> None:
    alice = await new_account(sqlite_chat)
    headers = {"Authorization": f"Bearer {alice.token}"}
    mutation = 'mutation { sendMessage(content: "by GET") { id } }'
    refused = await http.get("/graphql", params={"query": mutation}, headers=headers)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert check_errors(refused) == "BAD_USER_INPUT"
    mine = "query($w: ID) { messages(with: $w) { nodes { content } } me { id } }"
    params = {"query": mine, "variables": f'{{"w": "{alice.id}"}}', "extensions": "{}"}
    answer = (await http.get("/graphql", params=params, headers=headers)).json()
    assert answer["data"] == {"messages": {"nodes": []}, "me": {"id": str(alice.id)}}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_subscription_over_http_is_told_where_to_go(
    http: httpx.AsyncClient, method: str
) -> None:
    query = "subscription { presence { online } }"
    if method == "GET":
        answer = await http.get("/graphql", params={"query": query})
    else:
        answer = await http.post("/graphql", content=post(query))
    assert answer.status_code == 400
    assert check_errors(answer) == "BAD_USER_INPUT"
    assert "graphql-transport-ws" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"query": ME, "variables": "{"},
        {"query": ME, "variables": "[]"},
        {"query": ME, "variables": "[" * 5000},
        {"query": ME, "variables": "1" * 6000},
        {"query": ME, "extensions": '"x"'},
        {"query": "\0"},
        {"query": "\ufffd\ufffd"},
    ],
)
async def test_a_bad_get_is_a_400(http: httpx.AsyncClient, params: dict[str, str]) -> None:
    answer = await http.get("/graphql", params=params)
    assert answer.status_code == 400
    assert check_errors(answer) == "BAD_USER_INPUT"


NOT_REQUESTS: dict[str, bytes] = {
    "nothing": b"",
    "broken": b'{"query": "{ me',
    "two": post(ME) * 2,
    "invalid UTF-8": b'{"query": "{ me { id } } #\xff\xfe"}',
    "UTF-16": '{"query": "{ me { id } }"}'.encode("utf-16"),
    "NUL bytes": b"\0" * 100,
    "a NUL byte in a string": b'{"query": "{ me { id } } #\0"}',
    "null": b"null",
    "string": b'"x"',
    "number": b"1",
    "true": b"true",
    "array": b"[]",
    "batch": b"[" + post(ME) + b"]",
    "empty object": b"{}",
    "deep array": b"[" * 5000 + b"]" * 5000,
    "deep object": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "deep variables": b'{"query":"{ me { id } }","variables":{"a":%s}}'
    % (b"[" * 5000 + b"]" * 5000),
    "unclosed depth": b"[" * 500_000,
    "NaN": b'{"query":"{ me { id } }","variables":{"a":NaN}}',
    "number for query": post(7),
    "null for query": post(None),
    "array for query": post([ME]),
    "array for variables": post(ME, variables=[]),
    "string for variables": post(ME, variables="{}"),
    "number for operationName": post(ME, operationName=1),
    "string for extensions": post(ME, extensions="x"),
}
REFUSED: dict[str, bytes] = {
    "empty": post(""),
    "spaces": post(" \n"),
    "a NUL character": post("\0"),
    "not GraphQL": post("{ me { id }"),
    "5,000 deep": post("{ me " * 5000 + "}" * 5000),
    "100,000 deep": post("{a" * 100_000 + "}" * 100_000),
    "100,000 deep value": post("{ user(id: " + "[" * 100_000),
    "100,000 tokens": post("{ " + "a " * 100_000 + "}"),
    "the same field again and again": post("{" + "me{id}" * 900 + "}"),
    "deep introspection": post(TOO_DEEP_IN_TYPES),
    "circular fragments": post(CIRCLE),
    "lone surrogate as an escape": post('{ user(id: "\\ud800") { id } }'),
    "no operation": post("fragment a on Query { me { id } }"),
    "only a type": post("type Query { me: Int }"),
    "two operations, no name": post(TWO),
    "unknown operationName": post("query A { me { id } }", operationName="C"),
    "operationName of a fragment": post(FRAGMENT, operationName="F"),
    "an unknown field": post("{ nobody }"),
    "an unknown argument": post("{ me(now: true) { id } }"),
    "no selection": post("{ me }"),
    "a missing variable": post(USER),
    "null for a variable": post(USER, variables={"id": None}),
    "boolean for an ID": post(USER, variables={"id": True}),
    "fraction for an ID": post(USER, variables={"id": 1.5}),
    "object for an ID": post(USER, variables={"id": {"a": []}}),
    "deep object for an ID": post(USER, variables={"id": DEEP_LIST}),
    "string for an Int": post(MESSAGES, variables={"n": "3"}),
    "an Int of 31 digits": post(MESSAGES, variables={"n": 10**30}),
    "a literal of 6,000 digits": post(f"{{ messages(first: {'7' * 6000}) {{ nodes {{ id }} }} }}"),
    "number for a String": post(SEARCH, variables={"s": 5}),
    "an unknown enum value": post('mutation { sendMessage(content: "x", kind: SMELL) { id } }'),
}


@pytest.mark.parametrize("name", NOT_REQUESTS)
@pytest.mark.parametrize("accept", [JSON, RESPONSE_JSON])
async def test_what_is_no_request_is_a_400(http: httpx.AsyncClient, name: str, accept: str) -> None:
    answer = await http.post("/graphql", content=NOT_REQUESTS[name], headers={"Accept": accept})
    assert answer.status_code == 400
    assert check_errors(answer) == "BAD_USER_INPUT"
    assert "data" not in answer.json()


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize(("accept", "status"), [(JSON, 200), (RESPONSE_JSON, 400)])
async def test_a_request_that_cannot_be_executed_is_refused(
    http: httpx.AsyncClient, name: str, accept: str, status: int
) -> None:
    answer = await http.post("/graphql", content=REFUSED[name], headers={"Accept": accept})
    assert answer.status_code == status
    assert check_errors(answer) == "BAD_USER_INPUT"
    assert "data" not in answer.json()
    assert len(answer.content) < 20_000


async def test_a_document_has_a_bounded_number_of_tokens(http: httpx.AsyncClient) -> None:
    # Validation compares each field with those of the same name, on everybody's event loop.
    fits = "{ users(search: [" + "0 " * 987 + "]) { __typename } }"
    for query, why in (
        (fits, "String cannot represent a non string value"),
        (fits + " fragment f on", "more than 1000 tokens"),
    ):
        answer = await http.post("/graphql", content=post(query))
        assert answer.status_code == 400
        assert why in answer.json()["errors"][0]["message"]


async def test_the_operation_meant_is_the_one_executed(http: httpx.AsyncClient) -> None:
    query = "query A { a: __typename } query B { b: __typename }"
    answer = await http.post("/graphql", content=post(query, operationName="B"))
    assert answer.json() == {"data": {"b": "Query"}}
    nameless = post("query A { a: __typename }", operationName=None, variables=None)
    assert (await http.post("/graphql", content=nameless)).json() == {"data": {"a": "Query"}}


ABSURD_IDS = [
    "0",
    "-1",
    "1.5",
    "abc",
    "",
    " ",
    "１",
    "1e3",
    "0x1",
    "9" * 19,
    "9" * 5000,
    10**30,
    -5,
]


@pytest.mark.parametrize("id_", ABSURD_IDS, ids=lambda id_: repr(id_)[:12])
async def test_an_absurd_id_is_nobodys(
    http: httpx.AsyncClient, sqlite_chat: RunningServer, id_: Any
) -> None:
    alice = await new_account(sqlite_chat)
    http.headers["Authorization"] = f"Bearer {alice.token}"
    query = "query($id: ID!) { user(id: $id) { id } message(id: $id) { id } }"
    answer = await http.post("/graphql", content=post(query, variables={"id": id_}))
    assert answer.json() == {"data": {"user": None, "message": None}}
    send = 'mutation($id: ID!) { sendMessage(receiverId: $id, content: "x") { id } }'
    answer = await http.post("/graphql", content=post(send, variables={"id": id_}))
    assert (answer.status_code, check_errors(answer)) == (200, "NOT_FOUND")
    with_ = "query($id: ID!) { messages(with: $id) { nodes { id } } }"
    answer = await http.post("/graphql", content=post(with_, variables={"id": id_}))
    assert (answer.status_code, check_errors(answer)) == (200, "NOT_FOUND")
