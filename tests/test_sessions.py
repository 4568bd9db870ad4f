"""Sessions on every face: their ends reach live sockets, in every process, within a second."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from msgspec.structs import replace

from tests.conftest import fresh_database_url
from tests.schema.client import Socket, bare_socket, bearer, open_socket
from tests.support.faces import (
    PASSWORD,
    Account,
    GraphQLFace,
    Refused,
    RestFace,
    SocketIOFace,
    new_account,
)
from tests.support.redis import redis_server
from tests.support.server import QUICK, RunningServer, running_server

MESSAGES = "subscription { messageAdded { id content } }"
RENEW = "mutation { renewToken { token expiresAt user { id } } }"
SESSIONS = "{ sessions { id createdAt lastSeenAt expiresAt client address current } }"


async def log_in(server: RunningServer, account: Account, agent: str = "A browser") -> Account:
    """Return the account with the token of another session."""
    async with httpx.AsyncClient(
        base_url=server.url, headers={b"User-Agent": agent.encode()}
    ) as http:
        body = {"email": account.email, "password": PASSWORD}
        answer = (await http.post("/api/auth/login", json=body)).json()
    return Account(account.id, account.email, account.name, answer["token"])


async def execute(server: RunningServer, account: Account, query: str, **variables: Any) -> Any:
    """Return the answer over HTTP, errors and all."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer {account.token}"},
        )
    return answer.json()


async def post(server: RunningServer, account: Account, path: str, **body: Any) -> httpx.Response:
    """Post to a REST route."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        headers = {"Authorization": f"Bearer {account.token}"}
        return await http.post(path, json=body, headers=headers)


def older(account: Account, seconds: float | None = None, **claims: Any) -> Account:
    """Return the account with a token as the older server signs one, good for so long."""
    if seconds is not None:
        claims["exp"] = time.time() + seconds
    claims = {"id": account.id, "iat": int(time.time()) - 10, **claims}
    token = jwt.encode(claims, QUICK["jwt_secret"], algorithm="HS256")
    return Account(account.id, account.email, account.name, token)


async def is_closed(face: SocketIOFace, reason: str) -> None:
    """Wait for a Socket.IO client's end, and for why."""
    await face.events.expect(lambda event: event == ("auth:error", reason))
    await face.events.expect(lambda event: event[0] == "disconnect")


@asynccontextmanager
async def listening(server: RunningServer, account: Account) -> AsyncIterator[Socket]:
    """A GraphQL WebSocket that is subscribed to messages."""
    async with open_socket(server, account) as socket:
        await socket.subscribe("live", MESSAGES)
        await socket.settle()
        yield socket


async def test_the_list_of_sessions_says_where_each_was_opened(chat: RunningServer) -> None:
    alice = await new_account(chat)
    phone = await log_in(chat, alice, "Phone/1.0\t (é)" + "x" * 500)
    rows = (await execute(chat, phone, SESSIONS))["data"]["sessions"]
    assert [row["current"] for row in rows] == [True, False]
    assert rows[0]["client"].startswith("Phone/1.0 (é)xxx")
    assert len(rows[0]["client"]) == 200
    assert {row["address"] for row in rows} == {"127.0.0.1"}
    assert all(row["expiresAt"] > row["createdAt"] for row in rows)


@pytest.mark.parametrize("by", ["graphql", "rest", "websocket"])
async def test_logging_out_closes_the_sessions_sockets_and_no_others(
    chat: RunningServer, by: str
) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    here = await log_in(chat, alice)
    async with (
        listening(chat, here) as socket,
        SocketIOFace.open(chat, here) as older_client,
        listening(chat, alice) as elsewhere,
        RestFace.open(chat, bob) as sender,
    ):
        if by == "graphql":
            assert (await execute(chat, here, "mutation { logout }"))["data"]["logout"]
        elif by == "rest":
            answer = await post(chat, here, "/api/auth/logout")
            assert (answer.status_code, answer.json()) == (200, {"message": "Logged out"})
        else:
            assert await socket.execute("mutation { logout }") == {"data": {"logout": True}}
        assert await socket.closed() == (4401, "Session ended")
        await is_closed(older_client, "Session ended")
        sent = await sender.send("hello", alice.id)
        assert (await elsewhere.expect(id="live"))["payload"]["data"]["messageAdded"] == {
            "id": str(sent.id),
            "content": "hello",
        }
        assert [message for message in socket.inbox if message.get("id") == "live"] == []
        assert older_client.inbox.items == []
    refused = await post(chat, here, "/api/auth/logout")
    assert (refused.status_code, refused.json()["message"]) == (401, "Invalid token")
    async with bare_socket(chat) as late:
        await late.send({"type": "connection_init", "payload": bearer(here)})
        assert await late.closed() == (4403, "Forbidden")
    async with SocketIOFace.open(chat, None) as late_client:
        await late_client.emit("auth:login", {"token": here.token})
        await is_closed(late_client, "Invalid token")


async def test_somebody_elses_session_and_a_missing_one_are_the_same(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    revoke = "mutation($id: ID!) { revokeSession(id: $id) }"
    theirs = (await execute(chat, alice, SESSIONS))["data"]["sessions"][0]["id"]
    answers = [await execute(chat, bob, revoke, id=id_) for id_ in (theirs, "9" * 18, "x", "-1")]
    assert [answer["errors"][0]["extensions"]["code"] for answer in answers] == ["NOT_FOUND"] * 4
    assert len({answer["errors"][0]["message"] for answer in answers}) == 1
    async with listening(chat, alice) as socket:
        other = await log_in(chat, alice)
        assert (await execute(chat, other, revoke, id=theirs))["data"] == {"revokeSession": True}
        assert await socket.closed() == (4401, "Session ended")


async def test_a_new_password_closes_the_others_and_older_ones_and_keeps_this(
    chat: RunningServer,
) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    change = (
        "mutation($old: String!, $new: String!) "
        "{ changePassword(currentPassword: $old, newPassword: $new) { token } }"
    )
    async with (
        listening(chat, alice) as mine,
        listening(chat, alice) as copied,
        SocketIOFace.open(chat, alice) as copied_too,
        listening(chat, await log_in(chat, alice)) as other,
        SocketIOFace.open(chat, older(alice)) as legacy,
        RestFace.open(chat, bob) as sender,
    ):
        wrong = await execute(chat, alice, change, old="wrong", new="another")
        assert wrong["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        await other.settle()
        changed = await mine.execute(change, {"old": PASSWORD, "new": "another"})
        fresh = replace(alice, token=changed["data"]["changePassword"]["token"])
        for socket in (other, copied):
            assert await socket.closed() == (4401, "Session ended")
        for face in (legacy, copied_too):
            await is_closed(face, "Session ended")
        sent = await sender.send("still there", alice.id)
        heard = await mine.expect(id="live")
        assert heard["payload"]["data"]["messageAdded"]["id"] == str(sent.id)
        [row] = (await mine.execute(SESSIONS))["data"]["sessions"]
        assert row["current"]
    assert (await post(chat, alice, "/api/auth/renew")).status_code == 401
    alice = fresh
    body = {"currentPassword": "another", "newPassword": PASSWORD}
    answer = await post(chat, alice, "/api/auth/change-password", **body)
    assert (answer.status_code, answer.json()["message"]) == (200, "Password changed")
    assert answer.json()["user"]["id"] == alice.id
    assert (await post(chat, alice, "/api/auth/change-password", **body)).status_code == 401
    alice = replace(alice, token=answer.json()["token"])
    assert (await post(chat, alice, "/api/auth/change-password", **body)).status_code == 400


async def test_logging_out_everywhere_closes_everything(chat: RunningServer) -> None:
    alice = await new_account(chat)
    async with (
        listening(chat, alice) as one,
        SocketIOFace.open(chat, await log_in(chat, alice)) as two,
        listening(chat, older(alice)) as three,
    ):
        answer = await post(chat, older(alice), "/api/auth/logout-everywhere")
        assert answer.status_code == 200
        assert await one.closed() == (4401, "Session ended")
        assert await three.closed() == (4401, "Session ended")
        await is_closed(two, "Session ended")


async def test_a_deleted_account_is_out_and_its_messages_stay(chat: RunningServer) -> None:
    alice, bob = await new_account(chat, "Alice"), await new_account(chat, "Bob")
    delete = "mutation($p: String!) { deleteAccount(password: $p) }"
    async with (
        GraphQLFace.open(chat, bob) as friend,
        listening(chat, alice) as socket,
        SocketIOFace.open(chat, alice) as face,
    ):
        sent = await face.send("I was here", bob.id)
        assert (await execute(chat, alice, delete, p="wrong"))["errors"]
        await socket.settle()
        assert (await execute(chat, alice, delete, p=PASSWORD))["data"] == {"deleteAccount": True}
        assert await socket.closed() == (4401, "Session ended")
        await is_closed(face, "Session ended")
        assert sent in await friend.history()
        shown = await friend.execute(
            "query($id: ID!) { message(id: $id) { content sender { displayName } } }",
            {"id": str(sent.id)},
        )
        assert shown["message"] == {
            "content": "I was here",
            "sender": {"displayName": "Deleted user"},
        }
        with pytest.raises(Refused) as refused:
            await friend.send("hello?", alice.id)
        assert refused.value.code == "NOT_FOUND"
    body = {"email": alice.email, "password": PASSWORD, "displayName": "Somebody new"}
    async with httpx.AsyncClient(base_url=chat.url) as http:
        assert (await http.post("/api/auth/login", json=body)).status_code == 400
        registered = await http.post("/api/auth/register", json=body)
    assert registered.status_code == 200
    assert registered.json()["userId"] != alice.id


async def test_a_token_that_ends_is_warned_of_and_closes_its_sockets(chat: RunningServer) -> None:
    alice = await new_account(chat)
    ending = older(alice, seconds=2.5)
    async with listening(chat, ending) as socket, SocketIOFace.open(chat, ending) as face:
        warned = (await socket.expect(type="ping"))["payload"]
        assert warned["type"] == "token_expiring"
        told = await face.events.expect(lambda event: event[0] == "auth:expiring")
        assert told[1] == {"expiresAt": warned["expiresAt"]}
        assert warned["expiresAt"].endswith("Z")
        assert await socket.closed() == (4401, "Token expired")
        await is_closed(face, "Token expired")


async def test_renewing_on_the_same_socket_keeps_its_subscriptions(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    ending = older(alice, seconds=3)
    async with (
        listening(chat, ending) as kept,
        listening(chat, ending) as lost,
        RestFace.open(chat, bob) as sender,
    ):
        await kept.expect(type="ping")
        renewed = (await kept.execute(RENEW))["data"]["renewToken"]
        assert renewed["user"]["id"] == str(alice.id)
        assert await lost.closed() == (4401, "Token expired")
        await sender.send("still there", alice.id)
        heard = await kept.expect(id="live")
        assert heard["payload"]["data"]["messageAdded"]["content"] == "still there"
        fresh = Account(alice.id, alice.email, alice.name, renewed["token"])
        rows = (await execute(chat, fresh, SESSIONS))["data"]["sessions"]
        assert rows[0]["current"]


async def test_a_second_login_on_socketio_moves_the_end_and_loses_nothing(
    chat: RunningServer,
) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    short = older(alice, seconds=3)
    async with (
        SocketIOFace.open(chat, short) as face,
        SocketIOFace.open(chat, short) as ending,
        SocketIOFace.open(chat, bob) as sender,
    ):
        await face.events.expect(lambda event: event[0] == "auth:expiring")
        texts = [f"{number}" for number in range(50)]
        sending = asyncio.gather(*(sender.send(text, alice.id) for text in texts))
        await face.emit("auth:login", {"token": alice.token})
        await face.events.expect_many(lambda event: event[0] == "auth:ok", 2)
        await sending
        # The first token has ended where it was not renewed.
        await ending.events.expect(lambda event: event == ("auth:error", "Token expired"))
        last = await sender.send("the last", alice.id)
        await face.hear("the last")
        assert [seen.content for seen in face.inbox.items] == [*texts, last.content]
        assert ("user:offline", alice.id) not in sender.events.items


@contextmanager
def two_processes(
    request: pytest.FixtureRequest, directory: Path, engine: str, **settings: Any
) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Two servers of one database."""
    settings["database_url"] = fresh_database_url(engine, request, directory)
    with (
        running_server(directory / "1", **settings) as one,
        running_server(directory / "2", **settings) as two,
    ):
        yield one, two


@pytest.mark.parametrize("bus", ["redis", "none", "killed"])
async def test_an_end_reaches_every_process_within_a_second(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, bus: str
) -> None:
    with redis_server() as redis:
        settings = {} if bus == "none" else {"redis_url": redis.url}
        with two_processes(request, tmp_path, engine, **settings) as (one, two):
            alice = await new_account(one)
            here, there = await log_in(one, alice), await log_in(two, alice)
            async with (
                listening(two, here) as socket,
                SocketIOFace.open(two, here) as face,
                listening(two, there) as other,
            ):
                if bus == "killed":
                    await asyncio.to_thread(redis.kill)
                started = time.monotonic()
                assert (await post(one, here, "/api/auth/logout")).status_code == 200
                assert await socket.closed() == (4401, "Session ended")
                await is_closed(face, "Session ended")
                assert time.monotonic() - started < 1.5  # one, and what the machine adds
                assert (await post(two, here, "/api/auth/logout")).status_code == 401
                await other.settle()
                renewed = (await execute(one, there, RENEW))["data"]["renewToken"]
                assert renewed["token"]
                await other.settle()


async def test_renewing_over_rest_answers_as_a_login_does(chat: RunningServer) -> None:
    alice = await new_account(chat)
    renewed = await post(chat, alice, "/api/auth/renew")
    assert renewed.status_code == 200
    assert renewed.json().keys() == {"token", "expiresAt", "user"}
    fresh = Account(alice.id, alice.email, alice.name, renewed.json()["token"])
    async with listening(chat, fresh) as socket:
        await post(chat, alice, "/api/auth/logout")  # the older token of the same session
        assert await socket.closed() == (4401, "Session ended")


async def test_registering_over_rest_opens_no_session(chat: RunningServer) -> None:
    body = {"email": "rest@example.com", "password": PASSWORD, "displayName": "Rest"}
    async with httpx.AsyncClient(base_url=chat.url) as http:
        registered = await http.post("/api/auth/register", json=body)
        login = (await http.post("/api/auth/login", json=body)).json()
    assert registered.status_code == 200
    account = Account(login["user"]["id"], body["email"], "Rest", login["token"])
    [row] = (await execute(chat, account, SESSIONS))["data"]["sessions"]
    assert row["current"]


async def test_a_session_that_is_too_old_is_told_to_log_in_again(tmp_path: Path) -> None:
    with running_server(tmp_path, max_session_age_seconds=1) as server:
        alice = await new_account(server)
        await asyncio.sleep(1.1)  # the age is a setting in seconds
        over_rest = await post(server, alice, "/api/auth/renew")
        over_graphql = (await execute(server, alice, RENEW))["errors"][0]
        said = "This session is too old to be renewed; log in again"
        assert (over_rest.status_code, over_rest.json()["message"]) == (401, said)
        assert over_graphql["message"] == said
        assert over_graphql["extensions"]["code"] == "UNAUTHENTICATED"
        assert (await execute(server, alice, SESSIONS))["data"]
        again = await log_in(server, alice)
        assert (await post(server, again, "/api/auth/renew")).status_code == 200
