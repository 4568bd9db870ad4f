"""GraphQL over HTTP when the token, the bytes or the database are not as they should be."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.feed import Feed
from resolvers.errors import Unavailable
from resolvers.guards import tokens
from tests.schema.client import bare_socket, bearer, open_socket
from tests.schema.test_http import JSON, ME, RESPONSE_JSON, check_errors, post
from tests.support.faces import Account, new_account
from tests.support.server import QUICK, RunningServer, running_server
from tests.support.sqlite import outsider as opened_by_outsider

SECRET = QUICK["jwt_secret"]
HOUR = timedelta(hours=1)
NOW = datetime.now(UTC)
QUERY = "query Q($id: ID!, $n: Int) { user(id: $id) { id } messages(last: $n) { nodes { id } } }"


def unnamed(error: dict[str, Any]) -> dict[str, Any]:
    """Return an error without the id of its request, which it has to say."""
    extensions = {**error["extensions"]}
    assert extensions.pop("requestId")
    return {**error, "extensions": extensions}


def segment(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def signed(claims: dict[str, Any], key: str = SECRET, algorithm: str = "HS256") -> str:
    return "Bearer " + jwt.encode(claims, key, algorithm=algorithm)


def garbled(header: bytes, claims: bytes = b"{}") -> str:
    return f"Bearer {segment(header)}.{segment(claims)}.x"


def bad_tokens(account: Account) -> dict[str, str]:
    good = {"sub": str(account.id), "exp": NOW + HOUR}
    unsigned = garbled(b'{"alg":"none","typ":"JWT"}', msgspec.json.encode({"sub": good["sub"]}))
    subs: list[Any] = ["", "0", "-1", "abc", "９", "9" * 5000, 0, -1, 1.5, True, None, [], {}]
    return {
        "no scheme": account.token,
        "another scheme": f"Basic {account.token}",
        "nothing after the scheme": "Bearer",
        "malformed": "Bearer not-a-token",
        "dots": "Bearer ...",
        "two tokens": f"Bearer {account.token} {account.token}",
        "cut": f"Bearer {account.token[:-5]}",
        "not ASCII": "Bearer é.ü.ñ",
        "expired": signed({**good, "exp": NOW - HOUR}),
        "not yet": signed({**good, "nbf": NOW + HOUR}),
        "alg none": unsigned.removesuffix("x"),
        "wrong key": signed(good, "k" * 40),
        "wrong algorithm": signed(good, SECRET * 2, "HS512"),
        "of nobody": signed({**good, "sub": str(2**40)}),
        "without sub": signed({"exp": NOW + HOUR}),
        "exp not a number": signed({**good, "exp": "soon"}),
        "a deep header": garbled(b"[" * 20_000),
        "6,000 digits": garbled(b"7" * 6000),
        **{f"sub {sub!r:.9}": signed({**good, "sub": sub}) for sub in subs},
    }


# A client that has no token yet, or names no scheme (tests/schema/test_connection_init.py).
FINE_ON_A_SOCKET = {"no scheme", "nothing after the scheme"}
BAD_TOKENS = [*bad_tokens(Account(1, "", "", "a.b.c"))]


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_a_bad_token_is_nobodys_on_http_and_on_a_socket(
    sqlite_chat: RunningServer, name: str
) -> None:
    token = bad_tokens(await new_account(sqlite_chat))[name]
    async with httpx.AsyncClient(base_url=sqlite_chat.url) as http:
        headers = {b"Authorization": token.encode(), b"Content-Type": JSON.encode()}
        answer = await http.post("/graphql", content=post(ME), headers=headers)
    assert (answer.status_code, answer.json()["data"]) == (200, None)
    assert check_errors(answer) == "UNAUTHENTICATED"
    assert answer.json()["errors"][0]["message"] == "Invalid token"
    if name in FINE_ON_A_SOCKET:
        return
    async with bare_socket(sqlite_chat) as socket:
        await socket.send({"type": "connection_init", "payload": {"authorization": token}})
        assert await socket.closed() == (4403, "Forbidden")


async def test_without_a_token_one_may_only_come_in(sqlite_chat: RunningServer) -> None:
    fields = ["me", "users", "onlineUsers", "messages", "message", "user", "sendMessage"]
    queries = [
        ME,
        "{ users { nodes { id } } }",
        "{ onlineUsers { id } }",
        "{ messages { nodes { id } } }",
        '{ message(id: "x") { id } }',
        '{ user(id: "1") { id } }',
        'mutation { sendMessage(content: "x") { id } }',
    ]
    async with httpx.AsyncClient(base_url=sqlite_chat.url) as http:
        for field, query in zip(fields, queries, strict=True):
            answer = await http.post("/graphql", json={"query": query})
            assert check_errors(answer) == "UNAUTHENTICATED"
            [error] = answer.json()["errors"]
            assert (error["path"], error["message"]) == ([field], "No token provided")


@pytest.mark.parametrize("claim", ["sub", "id", "userId"])
async def test_a_token_of_the_older_server_is_good(sqlite_chat: RunningServer, claim: str) -> None:
    alice = await new_account(sqlite_chat)
    async with httpx.AsyncClient(base_url=sqlite_chat.url) as http:
        headers = {"Authorization": signed({claim: alice.id})}
        answer = await http.post("/graphql", json={"query": ME}, headers=headers)
    assert answer.json() == {"data": {"me": {"id": str(alice.id)}}}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
WORDS = '{ } ( ) [ ] : $ ! ... @skip query mutation fragment on me id users first "x" 1 -7 #\n null'
QUERIES = st.one_of(
    st.lists(st.sampled_from(WORDS.split(" ")), max_size=30).map(" ".join),
    st.text(max_size=60),
    st.just(QUERY),
)
REQUESTS = st.fixed_dictionaries(
    {"query": QUERIES | JSON_VALUES},
    optional={
        "variables": st.fixed_dictionaries({"id": JSON_VALUES, "n": JSON_VALUES}) | JSON_VALUES,
        "operationName": JSON_VALUES,
        "extensions": JSON_VALUES,
    },
)


def damaged(body: bytes, place: int, by: bytes) -> bytes:
    return body[:place] + by + body[place + 1 :]


BODIES = st.one_of(
    st.binary(max_size=200),
    JSON_VALUES.map(msgspec.json.encode),
    REQUESTS.map(msgspec.json.encode),
    st.builds(
        damaged, REQUESTS.map(msgspec.json.encode), st.integers(0, 60), st.binary(max_size=3)
    ),
)


def test_whatever_the_body_the_answer_is_graphql(sqlite_chat: RunningServer) -> None:
    with httpx.Client(base_url=sqlite_chat.url, headers={"Content-Type": JSON}) as http:

        @settings(max_examples=300, deadline=None, database=None)
        @given(BODIES, st.sampled_from([JSON, RESPONSE_JSON]))
        def check(body: bytes, accept: str) -> None:
            answer = http.post("/graphql", content=body, headers={"Accept": accept})
            assert answer.status_code in {200, 400}
            assert answer.headers["content-type"].startswith(accept) or answer.status_code == 400
            if "errors" in answer.json():
                assert check_errors(answer) in {"BAD_USER_INPUT", "UNAUTHENTICATED"}

        check()


def test_whatever_the_token_and_accept_header_the_answer_is_graphql(
    sqlite_chat: RunningServer,
) -> None:
    header = st.text(
        st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
    ).map(str.strip)
    jwts = st.tuples(st.binary(), st.binary()).map(lambda parts: garbled(*parts))
    with httpx.Client(base_url=sqlite_chat.url) as http:

        @settings(max_examples=150, deadline=None, database=None)
        @given(header | jwts | header.map("Bearer a{}".format), header)
        def check(authorization: str, accept: str) -> None:
            headers = {
                b"Authorization": authorization.encode(),
                b"Accept": accept.encode("latin-1"),
            }
            answer = http.post("/graphql", json={"query": ME}, headers=headers)
            assert answer.status_code in {200, 406}
            assert check_errors(answer) in {"BAD_USER_INPUT", "UNAUTHENTICATED"}

        check()


async def test_a_database_that_fails_is_unavailable_and_its_words_stay_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "RECENT_SECONDS", -1.0)  # each request asks the database
    with running_server(tmp_path) as server:
        alice = await new_account(server)
        headers = {"Authorization": f"Bearer {alice.token}"}
        async with (
            httpx.AsyncClient(base_url=server.url, headers=headers) as http,
            open_socket(server, alice) as socket,
        ):
            with opened_by_outsider(tmp_path / "parley.db") as outsider:
                outsider.execute("ALTER TABLE messages RENAME TO elsewhere")
            for query in (
                "{ messages { nodes { id } } }",
                'mutation { sendMessage(content: "x") { id } }',
            ):
                answer = await http.post("/graphql", json={"query": query})
                assert answer.status_code == 200
                assert check_errors(answer) == "INTERNAL"
                assert answer.json()["errors"][0]["message"] == str(Unavailable())
                result = await socket.execute(query)
                assert unnamed(result["errors"][0]) == unnamed(answer.json()["errors"][0])
            with opened_by_outsider(tmp_path / "parley.db") as outsider:
                outsider.execute("ALTER TABLE elsewhere RENAME TO messages")
            sent = await http.post("/graphql", json={"query": query})
            assert sent.json()["data"]["sendMessage"]["id"] == "1"
            with opened_by_outsider(tmp_path / "parley.db") as outsider:
                outsider.execute("ALTER TABLE users RENAME TO elsewhere")
            answer = await http.post("/graphql", json={"query": ME})
            assert (answer.status_code, check_errors(answer)) == (503, "INTERNAL")
            assert answer.headers["retry-after"] == "1"
            [error] = answer.json()["errors"]
            assert error["message"] == str(Unavailable())
            assert error["extensions"]["retryAfterMs"] == 1000
            async with bare_socket(server) as late:
                await late.send({"type": "connection_init", "payload": bearer(alice)})
                assert await late.closed() == (1013, str(Unavailable()))


def ruin(directory: Path) -> None:
    for file in directory.glob("parley.db*"):
        file.write_bytes(b"garbage" * 10_000)


# A connection that is given up, SQLAlchemy ends by its thread and leaves to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_error_that_nobody_foresaw_is_masked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "RECENT_SECONDS", -1.0)  # each request asks the database
    monkeypatch.setattr(Feed, "recent", lambda *_, **__: None)  # each replay, too
    with running_server(tmp_path) as server:
        alice = await new_account(server)
        headers = {"Authorization": f"Bearer {alice.token}"}
        async with (
            httpx.AsyncClient(base_url=server.url, headers=headers) as http,
            open_socket(server, alice) as socket,
        ):
            await socket.execute('mutation { sendMessage(content: "x") { id } }')
            with opened_by_outsider(tmp_path / "parley.db") as outsider:
                outsider.execute("UPDATE messages SET kind = 'SMELL'")
            caplog.clear()
            query = "{ messages { nodes { id } } me { id } }"
            answer = await http.post("/graphql", json={"query": query})
            assert (answer.status_code, check_errors(answer)) == (200, "INTERNAL")
            assert answer.json()["errors"][0]["message"] == "Internal error"
            assert "SMELL" not in answer.text
            assert "SMELL" in caplog.text  # the operator sees it
            result = await socket.execute(query)
            assert unnamed(result["errors"][0]) == unnamed(answer.json()["errors"][0])
            replay = 'subscription { messageAdded(after: "0") { id } }'
            await socket.subscribe("s", replay)
            [error] = (await socket.expect(id="s", type="error"))["payload"]
            assert unnamed(error) == {
                "message": "Internal error",
                "extensions": {"code": "INTERNAL"},
            }
            await socket.settle()
            ruin(tmp_path)
            answer = await http.post("/graphql", json={"query": ME})
            assert check_errors(answer) == "INTERNAL"
            async with bare_socket(server) as late:
                await late.send({"type": "connection_init", "payload": bearer(alice)})
                # A file that is no database any more is a database that is away.
                assert await late.closed() in (
                    (1013, "Internal error"),
                    (1013, str(Unavailable())),
                )
