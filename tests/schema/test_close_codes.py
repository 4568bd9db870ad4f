"""How graphql-ws, of both versions in use, takes each close: the table in docs/protocol.md."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from events.feed import Feed
from tests.compat.test_chat import eventually
from tests.schema.client import open_socket
from tests.support.faces import Account, RestFace, new_account
from tests.support.node import NodeProcess, node_process
from tests.support.server import QUICK, RunningServer, running_server
from tests.support.sqlite import outsider

LISTEN = "subscription($after: ID) { messageAdded(after: $after) { id content } }"
AGAIN_SECONDS = 20  # the library waits for some seconds between its attempts

both_versions = pytest.mark.parametrize("library", ["graphql-ws", "graphql-ws-5"])


def options(account: Account, library: str, **others: object) -> dict[str, object]:
    return {
        "library": library,
        "connectionParams": {"token": account.token},
        "retryAttempts": 5,
        "retryMs": 100,
        **others,
    }


async def expect_closed(client: NodeProcess, code: int, reason: str = "") -> None:
    closed = await client.expect_type("closed", AGAIN_SECONDS)
    assert (closed["code"], closed["reason"]) == (code, reason)


async def listen(client: NodeProcess, after: object = None) -> None:
    variables = {"after": after}
    await client.send("subscribe", id="a", query=LISTEN, variables=variables, resume=True)
    await client.send("execute", id="q", query="{ me { id } }")
    await client.expect_type("result", id="q")


async def expect_resumed(
    server: RunningServer, client: NodeProcess, account: Account, content: str
) -> None:
    """Assert that it hears on, without having been told to."""
    await client.expect_type("connected", AGAIN_SECONDS)
    async with RestFace.open(server, account) as sender:
        await sender.send(content)
    heard = await client.expect_type("next", AGAIN_SECONDS, id="a")
    assert heard["payload"]["data"]["messageAdded"]["content"] == content
    assert [m for m in client.inbox if m["type"] in ("fatal", "error", "next")] == []


# What it comes back from.


@both_versions
async def test_a_client_that_was_frozen_gets_every_message(tmp_path: Path, library: str) -> None:
    patience = {"ping_interval_seconds": 0.5, "ping_timeout_seconds": 0.5}
    with running_server(tmp_path, **patience, max_queued_messages=100) as server:
        alice, bob = await new_account(server), await new_account(server)
        async with (
            RestFace.open(server, alice) as sender,
            node_process("graphql_ws_client.mjs", server.ws_url, options(bob, library)) as client,
        ):
            await client.expect_type("connected")
            await listen(client)
            await sender.send("before")
            await client.expect_type("next", id="a")
            os.kill(client.pid, signal.SIGSTOP)
            try:
                for number in range(300):
                    await sender.send(f"{number}")
                await eventually(lambda: bob.id not in server.ctx.presence.online_ids)
                for number in range(300, 600):
                    await sender.send(f"{number}")
            finally:
                os.kill(client.pid, signal.SIGCONT)
            contents = []
            for _ in range(600):
                heard = await client.expect_type("next", AGAIN_SECONDS, id="a")
                contents.append(heard["payload"]["data"]["messageAdded"]["content"])
            assert contents == [str(number) for number in range(600)]
            closed = await client.expect_type("closed")
            assert closed["code"] in (1006, 1013, 4408)
            assert [m for m in client.inbox if m["type"] in ("fatal", "error")] == []


@both_versions
async def test_no_answer_to_a_websocket_ping(tmp_path: Path, library: str) -> None:
    with running_server(tmp_path, ping_interval_seconds=1, ping_timeout_seconds=0.5) as server:
        bob = await new_account(server)
        silent = options(bob, library, autoPong=False)
        async with node_process("graphql_ws_client.mjs", server.ws_url, silent) as client:
            await client.expect_type("connected")
            await listen(client)
            await expect_closed(client, 1013, "No pong: reconnect and resume")
            await expect_resumed(server, client, bob, "again")


@both_versions
async def test_no_answer_to_a_ping_message(tmp_path: Path, library: str) -> None:
    with running_server(tmp_path, ping_interval_seconds=1, ping_timeout_seconds=0.5) as server:
        bob = await new_account(server)
        silent = options(bob, library, disablePong=True)
        async with node_process("graphql_ws_client.mjs", server.ws_url, silent) as client:
            await client.expect_type("connected")
            await listen(client)
            await expect_closed(client, 4408, "Pong timeout")
            await expect_resumed(server, client, bob, "again")


@both_versions
async def test_no_connection_init_in_time(tmp_path: Path, library: str) -> None:
    with running_server(tmp_path, connection_init_seconds=0.3) as server:
        bob = await new_account(server)
        late = options(bob, library, initDelayMs=600)
        async with node_process("graphql_ws_client.mjs", server.ws_url, late) as client:
            await expect_closed(client, 4408, "Connection initialisation timeout")
            await client.expect_type("connected", AGAIN_SECONDS)


@both_versions
async def test_too_many_connections_of_a_user(tmp_path: Path, library: str) -> None:
    with running_server(tmp_path, limits=True, max_connections_per_user=1) as server:
        bob = await new_account(server)
        many = options(bob, library, retryAttempts=100)
        async with open_socket(server, bob) as first:
            await first.settle()
            node = node_process("graphql_ws_client.mjs", server.ws_url, many)
            client = await node.__aenter__()
            closed = await client.expect_type("closed")
            assert closed["code"] == 4420
        try:
            await client.expect_type("connected", AGAIN_SECONDS)
        finally:
            await node.__aexit__(None, None, None)


@both_versions
async def test_too_many_connections_of_an_address(tmp_path: Path, library: str) -> None:
    with running_server(tmp_path, limits=True, max_connections_per_address=1) as server:
        bob = await new_account(server)
        many = options(bob, library, retryAttempts=100)
        async with open_socket(server, bob) as first:
            await first.settle()
            node = node_process("graphql_ws_client.mjs", server.ws_url, many)
            client = await node.__aenter__()
            await expect_closed(client, 1006)
        try:
            await client.expect_type("connected", AGAIN_SECONDS)
        finally:
            await node.__aexit__(None, None, None)


@both_versions
async def test_a_database_that_is_away_when_it_subscribes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setattr(Feed, "recent", lambda *_, **__: None)  # what it missed is read
    with running_server(tmp_path) as server:
        bob = await new_account(server)
        async with (
            RestFace.open(server, bob) as sender,
            node_process("graphql_ws_client.mjs", server.ws_url, options(bob, library)) as client,
        ):
            await sender.send("first")
            await client.expect_type("connected")
            with outsider(tmp_path / "parley.db") as database:
                database.execute("ALTER TABLE messages RENAME TO elsewhere")
            variables = {"after": "0"}
            await client.send("subscribe", id="a", query=LISTEN, variables=variables, resume=True)
            await expect_closed(client, 1013, "Interrupted: resume after the last id seen")
            with outsider(tmp_path / "parley.db") as database:
                database.execute("ALTER TABLE elsewhere RENAME TO messages")
            heard = await client.expect_type("next", AGAIN_SECONDS, id="a")
            assert heard["payload"]["data"]["messageAdded"]["content"] == "first"
            assert [m for m in client.inbox if m["type"] in ("fatal", "error")] == []


@both_versions
async def test_a_server_that_stops(tmp_path: Path, library: str) -> None:
    with running_server(tmp_path) as server:
        bob = await new_account(server)
        retrying = options(bob, library, retryMs=500, retryAttempts=1)
        async with node_process("graphql_ws_client.mjs", server.ws_url, retrying) as client:
            await client.expect_type("connected")
            server.server.should_exit = True
            await expect_closed(client, 1012, "Service restart: reconnect and resume")
            # It has tried again, and found nobody: what it gives up for is not the 1012.
            fatal = await client.expect_type("fatal", AGAIN_SECONDS)
            assert fatal.get("close", {}).get("code") != 1012


# What it tries again a few times: the application may have another token for the next attempt.


@both_versions
async def test_a_token_that_is_refused(tmp_path: Path, library: str) -> None:
    with running_server(tmp_path) as server:
        bob = await new_account(server)
        bad = options(bob, library, connectionParams={"token": "bad"}, retryAttempts=2)
        async with node_process("graphql_ws_client.mjs", server.ws_url, bad) as client:
            for _ in range(3):
                await expect_closed(client, 4403, "Forbidden")
            assert (await client.expect_type("fatal"))["close"]["code"] == 4403


# What it does not come back from.


async def expect_fatal(client: NodeProcess, code: int) -> None:
    assert (await client.expect_type("closed", AGAIN_SECONDS))["code"] == code
    assert (await client.expect_type("fatal"))["close"]["code"] == code
    assert [m for m in client.inbox if m["type"] == "connected"] == []


@both_versions
async def test_a_session_that_ended(tmp_path: Path, library: str) -> None:
    with running_server(tmp_path) as server:
        bob = await new_account(server)
        async with node_process(
            "graphql_ws_client.mjs", server.ws_url, options(bob, library)
        ) as client:
            await client.expect_type("connected")
            await client.send("execute", id="o", query="mutation { logoutEverywhere }")
            await client.expect_type("result", id="o")
            await expect_fatal(client, 4401)


@both_versions
async def test_a_token_that_expires(tmp_path: Path, library: str) -> None:
    with running_server(tmp_path) as server:
        bob = await new_account(server)
        claims = {"id": bob.id, "exp": time.time() + 3}
        token = jwt.encode(claims, QUICK["jwt_secret"], algorithm="HS256")
        short = options(bob, library, connectionParams={"token": token})
        async with node_process("graphql_ws_client.mjs", server.ws_url, short) as client:
            await client.expect_type("connected")
            warned = await client.expect_type("ping", received=True)
            assert warned["payload"]["type"] == "token_expiring"  # the moment to renew it
            await expect_fatal(client, 4401)


MISUSES: dict[str, tuple[int, dict[str, Any]]] = {
    "no message of the protocol": (4400, {"text": "garbage"}),
    "a second connection_init": (4429, {"text": '{"type":"connection_init"}'}),
    "a message beyond the limit": (1009, {"text": "x" * 2_000_000}),
    "a frame without a mask": (1002, {"bytes": "810178"}),
    "text that is not UTF-8": (1007, {"bytes": "818100000000ff"}),
}


@both_versions
@pytest.mark.parametrize("misuse", MISUSES)
async def test_a_misuse_of_the_protocol(
    sqlite_chat: RunningServer, library: str, misuse: str
) -> None:
    code, command = MISUSES[misuse]
    bob = await new_account(sqlite_chat)
    async with node_process(
        "graphql_ws_client.mjs", sqlite_chat.ws_url, options(bob, library)
    ) as client:
        await client.expect_type("connected")
        await client.send("raw", **command)
        await expect_fatal(client, code)


@both_versions
async def test_an_id_that_is_in_use(sqlite_chat: RunningServer, library: str) -> None:
    bob = await new_account(sqlite_chat)
    listening = '{"id":"x","type":"subscribe","payload":{"query":"subscription{messageAdded{id}}"}}'
    async with node_process(
        "graphql_ws_client.mjs", sqlite_chat.ws_url, options(bob, library)
    ) as client:
        await client.expect_type("connected")
        for _ in range(2):
            await client.send("raw", text=listening)
        await expect_fatal(client, 4409)


async def test_messages_go_on_for_who_answers_pings(tmp_path: Path) -> None:
    """The other side of every row: a client that does as it should is not closed."""
    with running_server(tmp_path, ping_interval_seconds=0.2, ping_timeout_seconds=0.3) as server:
        bob = await new_account(server)
        async with node_process(
            "graphql_ws_client.mjs", server.ws_url, options(bob, "graphql-ws")
        ) as client:
            await client.expect_type("connected")
            await listen(client)
            await asyncio.sleep(1.5)
            async with RestFace.open(server, bob) as sender:
                await sender.send("still here")
            heard = await client.expect_type("next", id="a")
            assert heard["payload"]["data"]["messageAdded"]["content"] == "still here"
            assert [m for m in client.inbox if m["type"] == "closed"] == []
