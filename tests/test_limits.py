"""Limits as clients of each face meet them: the defaults, but for what a test would wait for."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import httpx
import pytest
import socketio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from resolvers.server_info import LIMITS
from schema.server_info import ServerLimits
from settings import Settings
from tests.support.faces import (
    PASSWORD,
    GraphQLFace,
    Refused,
    RestFace,
    SocketIOFace,
    new_account,
)
from tests.support.server import RunningServer, running_server

WAIT_SECONDS = 10
BURST = 50
BODY: dict[str, Any] = {"password": PASSWORD, "displayName": "x"}
SUBPROTOCOLS: Any = ["graphql-transport-ws"]

# Settings that are no limits: what they say, clients see elsewhere or need not know.
NOT_LIMITS = {
    *("env", "host", "port", "workers", "instance", "data_dir", "database_url", "db_host"),
    *(
        "db_port",
        "db_user",
        "db_pass",
        "db_name",
        "db_pool_size",
        "wait_for_db_seconds",
        "redis_url",
        "redis_prefix",
    ),
    *("broadcast_history", "registration", "directory", "search", "chat_page", "socket_mode"),
    "db_replica_urls",
    *("jwt_secret", "bcrypt_rounds", "password_workers", "cors_origins", "trusted_proxies"),
    *(
        "legacy_tokens",
        "password_check",
        "broadcast",
        "playground",
        "persisted_queries",
        "introspection",
        "hsts_seconds",
    ),
    *("storage_url", "public_url", "media_workers", "media_memory_bytes", "limits"),
    *("presence_grace_seconds", "presence_lease_seconds", "presence_renewal_seconds"),
    *("presence_sweep_seconds", "shutdown_seconds", "log_level", "log_format"),
}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with its limits as they come."""
    with running_server(tmp_path_factory.mktemp("limited"), limits=True) as server:
        yield server


def new_email() -> str:
    return f"{uuid4().hex}@example.com"


async def post(server: RunningServer, path: str, body: Any, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        return await http.post(path, json=body)


async def ask(server: RunningServer, query: str, **headers: str) -> dict[str, Any]:
    answer: dict[str, Any] = (await post(server, "/graphql", {"query": query}, **headers)).json()
    return answer


# What is refused, and how each face says when to try again.


async def test_a_burst_over_rest_gets_a_retry_after(limited: RunningServer) -> None:
    account = await new_account(limited)
    async with RestFace.open(limited, account) as face:
        for number in range(BURST):
            await face.send(f"{number}")
        refused = await face._http.post("/api/messages/send", json={"content": "beyond"})
        history = await face.history()
    assert refused.status_code == 429
    milliseconds = refused.json()["retryAfterMs"]
    assert 0 < milliseconds <= 5000
    assert refused.headers["Retry-After"] == str(-(-milliseconds // 1000))
    assert refused.json() == {
        "message": f"Too many messages; try again in {-(-milliseconds // 1000)} s",
        "code": "RATE_LIMITED",
        "retryAfterMs": milliseconds,
    }
    own = [seen.content for seen in history if seen.sender_id == account.id]
    assert own == [f"{number}" for number in range(BURST)]


async def test_a_burst_over_graphql_keeps_its_order_and_gets_retry_after_ms(
    limited: RunningServer,
) -> None:
    account = await new_account(limited)
    # As many as a document may have at its root.
    for first in range(0, BURST + 5, 20):
        numbers = range(first, min(first + 20, BURST + 5))
        fields = " ".join(f'a{n}: sendMessage(content: "{n}") {{ id }}' for n in numbers)
        document = f"mutation {{ {fields} }}"
        answer = await ask(limited, document, Authorization=f"Bearer {account.token}")
    assert answer["data"] is None  # sendMessage is never null
    [error, *_] = answer["errors"]
    assert error["path"] == [f"a{BURST}"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert 0 < error["extensions"]["retryAfterMs"] <= 5000
    async with RestFace.open(limited, account) as face:
        own = [seen.content for seen in await face.history() if seen.sender_id == account.id]
    assert own == [f"{number}" for number in range(BURST)]


async def test_a_burst_over_socketio_keeps_its_order_and_gets_retry_after_ms(
    limited: RunningServer,
) -> None:
    account = await new_account(limited)
    async with SocketIOFace.open(limited, account, ("websocket",)) as face:
        for number in range(BURST + 1):
            await face.emit("message:send", {"content": f"{number}"})
        _, refusal = await face.events.expect(lambda e: e[0] == "message:error", WAIT_SECONDS)
        answer = await face._client.call("message:send", {"content": "beyond"})
        await face.hear(f"{BURST - 1}")
        own = [seen.content for seen in face.inbox.items if seen.sender_id == account.id]
    for refused in (refusal, answer):
        assert refused["code"] == "RATE_LIMITED"
        assert 0 < refused["retryAfterMs"] <= 5000
        assert refused["error"].startswith("Too many messages; try again in ")
    assert own == [f"{number}" for number in range(BURST)]


async def test_passwords_tried_by_aliases_count_each(limited: RunningServer) -> None:
    email = new_email()
    await post(limited, "/api/auth/register", {"email": email, **BODY})
    for guess in range(3):
        query = f'mutation {{ login(email: "{email}", password: "no {guess}") {{ token }} }}'
        assert (await ask(limited, query))["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    logins = " ".join(
        f'a{n}: __typename b{n}: login(email: "{email}", password: "{n}") {{ token }}'
        for n in range(10)
    )
    answers = [await ask(limited, f"mutation {{ {logins} }}") for _ in range(4)]
    codes = [answer["errors"][0]["extensions"]["code"] for answer in answers]
    # The first that fails ends its request, since login is never null; each counted all the same.
    assert codes == ["BAD_USER_INPUT"] * 3 + ["RATE_LIMITED"]
    over_rest = await post(limited, "/api/auth/login", {"email": email, "password": PASSWORD})
    assert over_rest.status_code == 429
    assert 0 < int(over_rest.headers["Retry-After"]) <= 300


async def test_a_page_of_another_origin_may_read_when_to_retry(limited: RunningServer) -> None:
    answer = await post(limited, "/api/auth/login", {}, Origin="https://chat.example")
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


# Connections.


async def test_connections_from_an_address_are_limited(tmp_path: Path) -> None:
    with running_server(tmp_path, limits=True, max_connections_per_address=2) as server:
        polling = f"{server.url}/socket.io/?EIO=4&transport=polling"
        websocket = f"ws{server.url[4:]}/socket.io/?EIO=4&transport=websocket"
        async with connect(server.ws_url, subprotocols=SUBPROTOCOLS) as one:
            async with connect(websocket), httpx.AsyncClient() as http:
                full = await http.get(polling)
                assert (full.status_code, full.headers["Retry-After"]) == (429, "10")
                assert full.json()["message"] == "Too many connections from this address"
                for url in (server.ws_url, websocket):
                    with pytest.raises(InvalidStatus) as refused:
                        await connect(url, subprotocols=SUBPROTOCOLS)
                    assert refused.value.response.status_code == 429
                assert (await http.get(f"{server.url}/health")).status_code == 200
            await one.send('{"type": "connection_init"}')
            assert "connection_ack" in str(await one.recv())
        async with asyncio.timeout(WAIT_SECONDS):
            while server.ctx.connection_slots._roster:  # noqa: ASYNC110  # another thread's
                await asyncio.sleep(0.01)
        async with httpx.AsyncClient() as http:
            assert (await http.get(polling)).status_code == 200


async def test_connections_of_a_user_are_limited_on_both_faces(tmp_path: Path) -> None:
    with running_server(tmp_path, limits=True, max_connections_per_user=2) as server:
        account, other = await new_account(server), await new_account(server)
        init = f'{{"type": "connection_init", "payload": {{"token": "{account.token}"}}}}'
        async with GraphQLFace.open(server, account), SocketIOFace.open(server, account):
            async with connect(server.ws_url, subprotocols=SUBPROTOCOLS) as third:
                await third.send(init)
                with pytest.raises(ConnectionClosed) as closed:
                    await third.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
                4420,
                "Too many connections of this user",
            )
            refused = await refused_login(server, account.token)
            assert refused[0] == "Too many connections of this user"
            assert refused[1]["code"] == "RATE_LIMITED"
            assert refused[1]["retryAfterMs"] == 10_000
            async with SocketIOFace.open(server, other):
                pass
        async with SocketIOFace.open(server, account) as again:
            # Another login on the same connection takes no other place.
            for _ in range(3):
                await again.emit("auth:login", {"token": account.token})
                await again.events.expect(lambda event: event[0] == "auth:ok", WAIT_SECONDS)


async def refused_login(server: RunningServer, token: str, **headers: str) -> tuple[Any, ...]:
    """Return all that `auth:error` said, once the connection has ended."""
    said: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()
    async with aiohttp.ClientSession() as session:  # the library's own may stay open
        client = socketio.AsyncClient(reconnection=False, http_session=session)
        client.on("auth:error", lambda *arguments: said.set_result(arguments))
        client.on("auth:ok", lambda: said.set_result(("let in",)))
        await client.connect(server.url, headers=headers)
        await client.emit("auth:login", {"token": token})
        try:
            return await asyncio.wait_for(said, WAIT_SECONDS)
        finally:
            await client.disconnect()
            await asyncio.wait_for(client.eio.wait(), WAIT_SECONDS)


async def test_a_socketio_client_has_its_time_to_log_in(tmp_path: Path) -> None:
    with running_server(tmp_path, limits=True, auth_login_seconds=0.5) as server:
        account = await new_account(server)
        async with SocketIOFace.open(server, account) as face:
            async with SocketIOFace.open(server, None) as stranger:
                await stranger.events.expect(lambda event: event[0] == "disconnect", WAIT_SECONDS)
            # No reason to stay away: a client comes back by itself, and may log in then.
            assert ("auth:error", "Invalid token") not in stranger.events.items
            sent = await face.send("still here")
            assert await face.hear("still here") == sent


async def test_bad_tokens_over_socketio_end_the_logins_from_an_address(tmp_path: Path) -> None:
    rates: dict[str, Any] = {"bad_tokens_per_address": "3/minute", "trusted_proxies": "127.0.0.1"}
    with running_server(tmp_path, limits=True, **rates) as server:
        account = await new_account(server)
        for _ in range(3):
            assert await refused_login(server, "no token") == ("Invalid token",)
        message, shape = await refused_login(server, account.token)
        assert message.startswith("Too many bad tokens from this address; try again in ")
        assert (shape["code"], shape["error"]) == ("RATE_LIMITED", message)
        assert 0 < shape["retryAfterMs"] <= 60_000
        elsewhere = {"X-Forwarded-For": "203.0.113.7"}
        assert await refused_login(server, account.token, **elsewhere) == ("let in",)


# Proxies.


@pytest.mark.parametrize(("trusted", "counted_apart"), [("127.0.0.0/8", True), ("", False)])
async def test_the_address_is_what_a_trusted_proxy_says_on_every_face(
    tmp_path: Path, trusted: str, counted_apart: bool
) -> None:
    one: dict[str, Any] = {"registrations_per_address": "1/hour", "max_connections_per_address": 1}
    register = 'mutation { register(email: "%s", password: "123456", displayName: "x") { token } }'
    with running_server(tmp_path, limits=True, trusted_proxies=trusted, **one) as server:

        async def over_rest(address: str) -> bool:
            headers = {"X-Forwarded-For": address}
            body = {"email": new_email(), **BODY}
            answer = await post(server, "/api/auth/register", body, **headers)
            return answer.status_code == 200

        async def over_graphql(address: str) -> bool:
            answer = await ask(server, register % new_email(), **{"X-Forwarded-For": address})
            return "errors" not in answer

        async def over_websocket(address: str) -> bool:
            headers = {"X-Forwarded-For": address}
            async with connect(
                server.ws_url, subprotocols=SUBPROTOCOLS, additional_headers=headers
            ) as socket:
                face = GraphQLFace(server, None, socket)
                await socket.send('{"type": "connection_init"}')
                await socket.recv()
                reader = asyncio.create_task(face.run())
                try:
                    await face.execute(register % new_email())
                except Refused as error:
                    return error.code != "RATE_LIMITED"
                finally:
                    reader.cancel()
            return True

        first = [
            await over("1.1.1.1, 203.0.113.1") for over in (over_rest, over_graphql, over_websocket)
        ]
        assert first == [True, False, False]  # on every face the same address
        others = [
            await over_rest("1.1.1.1, 203.0.113.2"),
            await over_graphql("1.1.1.1, 203.0.113.3"),
            await over_websocket("1.1.1.1, 203.0.113.4"),
        ]
        assert others == [counted_apart] * 3
        async with httpx.AsyncClient() as http:
            opened = [
                await http.get(
                    f"{server.url}/socket.io/?EIO=4&transport=polling",
                    headers={"X-Forwarded-For": f"203.0.113.{number}"},
                )
                for number in (1, 2, 2)
            ]
        statuses = [answer.status_code for answer in opened]
        assert statuses == ([200, 200, 429] if counted_apart else [200, 429, 429])


# What is told of the limits.


async def test_anyone_may_ask_for_the_limits_on_both_faces(limited: RunningServer) -> None:
    fields = [field.name for field in ServerLimits.__strawberry_definition__.fields]  # type: ignore[attr-defined]  # the decorator adds it
    assert fields == ["enforced", *LIMITS]
    async with httpx.AsyncClient(base_url=limited.url) as http:
        answer = await http.get("/api/limits")
    assert answer.status_code == 200
    told = answer.json()
    selection = " ".join(
        f"{name} {{ amount seconds }}" if isinstance(value, dict) else name
        for name, value in told.items()
    )
    info = await ask(limited, f"{{ serverInfo {{ limits {{ {selection} }} }} }}")
    assert info == {"data": {"serverInfo": {"limits": told}}}
    assert told["enforced"] is True
    assert told["sendsPerUser"] == {"amount": 50, "seconds": 5}
    assert told["maxBodyBytes"] == 1024 * 1024
    assert len(told) == len(LIMITS) + 1


def test_every_setting_is_told_or_is_no_limit() -> None:
    assert set(LIMITS).isdisjoint(NOT_LIMITS)
    assert {*LIMITS, *NOT_LIMITS} == set(Settings.model_fields)


async def test_without_limits_they_say_so(sqlite_chat: RunningServer) -> None:
    info = await ask(sqlite_chat, "{ serverInfo { limits { enforced } } }")
    assert info == {"data": {"serverInfo": {"limits": {"enforced": False}}}}
