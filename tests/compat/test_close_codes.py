"""How socket.io-client takes each end of its connection: the table in docs/protocol.md."""

import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.compat.test_chat import chat_of, eventually
from tests.support.faces import Account, RestFace, SocketIOFace, new_account
from tests.support.node import NodeProcess, node_process
from tests.support.server import RunningServer, running_server

AGAIN_SECONDS = 20


def options(account: Account, **others: object) -> dict[str, object]:
    return {
        "transports": ["websocket"],
        "reconnection": True,
        "reconnectionDelay": 100,
        "reconnectionDelayMax": 200,
        "login": {"token": account.token},
        **others,
    }


async def expect_back(client: NodeProcess, code: int, reason: str = "transport close") -> None:
    """Assert that it was closed with this code, came back by itself, and logged in."""
    assert (await client.expect_type("closed", AGAIN_SECONDS))["code"] == code
    assert (await client.expect_type("disconnect"))["reason"] == reason
    await client.expect_type("event", AGAIN_SECONDS, event="auth:ok")


async def expect_final(server: RunningServer, client: NodeProcess) -> None:
    """Assert that it was told to stay away, and does: one would wait for its next attempt."""
    assert (await client.expect_type("disconnect"))["reason"] == "io server disconnect"
    await eventually(lambda: not chat_of(server).engine.sockets)
    with pytest.raises(AssertionError, match="nothing in 1 s"):
        await client.expect_type("reconnect_attempt", timeout=1)


async def test_a_client_that_was_frozen_comes_back(tmp_path: Path) -> None:
    patience = {"ping_interval_seconds": 0.5, "ping_timeout_seconds": 0.5}
    with running_server(tmp_path, **patience) as server:
        alice, bob = await new_account(server), await new_account(server)
        async with (
            RestFace.open(server, alice) as sender,
            node_process("socketio_client.mjs", server.url, options(bob)) as client,
        ):
            await client.expect_type("event", event="auth:ok")
            os.kill(client.pid, signal.SIGSTOP)
            try:
                await sender.send("meanwhile")
                await eventually(lambda: not chat_of(server).engine.sockets)
            finally:
                os.kill(client.pid, signal.SIGCONT)
            await expect_back(client, 1013)


async def test_a_slow_reader_comes_back(tmp_path: Path) -> None:
    with running_server(tmp_path, max_queued_messages=5) as server:
        alice, bob = await new_account(server), await new_account(server)
        async with (
            RestFace.open(server, alice) as sender,
            node_process("socketio_client.mjs", server.url, options(bob)) as client,
        ):
            await client.expect_type("event", event="auth:ok")
            os.kill(client.pid, signal.SIGSTOP)
            try:
                while chat_of(server).engine.sockets:
                    await sender.send("x" * 16_000)  # until the kernel's buffers are full as well
            finally:
                os.kill(client.pid, signal.SIGCONT)
            closed = await client.expect_type("closed", AGAIN_SECONDS)
            assert closed["code"] in (1013, 1006)  # the close frame may not fit in
            await client.expect_type("event", AGAIN_SECONDS, event="auth:ok")


async def test_a_server_that_stops_is_tried_again(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        bob = await new_account(server)
        async with node_process("socketio_client.mjs", server.url, options(bob)) as client:
            await client.expect_type("event", event="auth:ok")
            server.server.should_exit = True
            assert (await client.expect_type("closed", AGAIN_SECONDS))["code"] == 1012
            assert (await client.expect_type("disconnect"))["reason"] == "transport close"
            await client.expect_type("reconnect_attempt")


async def test_who_does_not_log_in_in_time_comes_back(tmp_path: Path) -> None:
    with running_server(tmp_path, auth_login_seconds=0.5) as server:
        bob = await new_account(server)
        silent = options(bob, login=None)
        async with node_process("socketio_client.mjs", server.url, silent) as client:
            await client.expect_type("connect")
            assert (await client.expect_type("closed", AGAIN_SECONDS))["code"] == 1013
            await client.expect_type("connect", AGAIN_SECONDS)


async def test_too_many_connections_of_a_user_are_tried_again(tmp_path: Path) -> None:
    with running_server(tmp_path, limits=True, max_connections_per_user=1) as server:
        bob = await new_account(server)
        async with SocketIOFace.open(server, bob):
            node = node_process("socketio_client.mjs", server.url, options(bob))
            client = await node.__aenter__()
            told = await client.expect_type("event", event="auth:error")
            assert told["args"][1]["code"] == "RATE_LIMITED"
            assert (await client.expect_type("closed", AGAIN_SECONDS))["code"] == 1013
        try:
            await client.expect_type("event", AGAIN_SECONDS, event="auth:ok")
        finally:
            await node.__aexit__(None, None, None)


@pytest.mark.parametrize(("transport", "most"), [("websocket", 1), ("polling", 3)])
async def test_too_many_connections_of_an_address_are_tried_again(
    tmp_path: Path, transport: str, most: int
) -> None:
    with running_server(tmp_path, limits=True, max_connections_per_address=most) as server:
        bob = await new_account(server)
        async with AsyncExitStack() as stack:  # a client that polls has two connections at once
            for _ in range(most):
                await stack.enter_async_context(SocketIOFace.open(server, bob))
            wanted = options(bob, transports=[transport])
            node = node_process("socketio_client.mjs", server.url, wanted)
            client = await node.__aenter__()
            await client.expect_type("connect_error")
        try:
            await client.expect_type("event", AGAIN_SECONDS, event="auth:ok")
        finally:
            await node.__aexit__(None, None, None)


@pytest.mark.parametrize(("text", "code"), [("4abc", 1002), ("42" + "x" * 2_000_000, 1009)])
async def test_a_misuse_of_the_protocol_does_not_keep_it_away(
    sqlite_chat: RunningServer, text: str, code: int
) -> None:
    bob = await new_account(sqlite_chat)
    async with node_process("socketio_client.mjs", sqlite_chat.url, options(bob)) as client:
        await client.expect_type("event", event="auth:ok")
        await client.send("raw", text=text)
        await expect_back(client, code)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("login", [{"token": "bad"}, {}, {"token": "TOKEN", "after": "x"}])
async def test_a_login_that_is_refused_is_final(
    tmp_path: Path, transport: str, login: dict[str, Any]
) -> None:
    with running_server(tmp_path) as server:
        bob = await new_account(server)
        wrong = {key: bob.token if value == "TOKEN" else value for key, value in login.items()}
        refused = options(bob, login=wrong, transports=[transport])
        async with node_process("socketio_client.mjs", server.url, refused) as client:
            await client.expect_type("event", event="auth:error")
            await expect_final(server, client)


async def test_a_session_that_ended_is_final(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        bob = await new_account(server)
        async with node_process("socketio_client.mjs", server.url, options(bob)) as client:
            await client.expect_type("event", event="auth:ok")
            async with RestFace.open(server, bob) as rest:
                await rest._http.post("/api/auth/logout-everywhere")
            told = await client.expect_type("event", event="auth:error")
            assert told["args"] == ["Session ended"]
            await expect_final(server, client)
