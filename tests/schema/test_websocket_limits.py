"""graphql-transport-ws: what happens at each limit, and at the end."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.schema.client import bare_socket, open_socket
from tests.support.faces import new_account
from tests.support.server import running_server

SEND = "mutation($c: String) { sendMessage(content: $c) { content } }"
LISTEN = "subscription { messageAdded { content } }"


@contextmanager
def nothing_is_written(directory: Path) -> Iterator[None]:
    """Hold the database's write lock."""
    outsider = sqlite3.connect(directory / "parley.db", isolation_level=None)
    outsider.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        outsider.execute("ROLLBACK")
        outsider.close()


@pytest.mark.parametrize("says", [[], ['{"type": "ping"}', '{"type": "pong"}']])
async def test_who_does_not_begin_in_time_is_closed_with_4408(
    tmp_path: Path, says: list[str]
) -> None:
    with running_server(tmp_path, connection_init_seconds=0.2) as server:
        async with bare_socket(server) as socket, open_socket(server) as in_time:
            for message in says:
                await socket.send(message)
            assert await socket.closed() == (4408, "Connection initialisation timeout")
            assert (await in_time.execute("{ __typename }"))["data"]


async def test_an_idle_peer_is_pinged_and_closed_when_it_does_not_answer(tmp_path: Path) -> None:
    quick = {"ping_interval_seconds": 0.2, "ping_timeout_seconds": 0.6}
    with running_server(tmp_path, connection_init_seconds=0.1, **quick) as server:
        loop = asyncio.get_running_loop()
        async with open_socket(server, await new_account(server)) as socket:
            await socket.subscribe("1", LISTEN)
            began = loop.time()
            while loop.time() - began < 1.5:  # longer than a silent one may stay
                await socket.expect(type="ping")
                await socket.send({"type": "pong"})
            silent_since = loop.time()
            assert await socket.closed() == (4408, "Pong timeout")
            assert 0.6 < loop.time() - silent_since < 3
            assert {"type": "ping"} in socket.inbox


async def test_frames_that_no_socket_may_carry_close_it_alone(tmp_path: Path) -> None:
    with running_server(tmp_path, max_body_bytes=1024) as server:
        async with open_socket(server) as other:
            async with open_socket(server) as socket:
                await socket.connection.send(b'{"type": "ping"\xff}', text=True)
                assert (await socket.closed())[0] == 1007
            async with open_socket(server) as socket:
                await socket.send({"type": "ping", "payload": {"a": "x" * 200_000}})
                assert (await socket.closed())[0] == 1009
            assert (await other.execute("{ __typename }"))["data"]


async def test_subscriptions_beyond_the_limit_are_refused_alone(tmp_path: Path) -> None:
    with running_server(tmp_path, max_subscriptions_per_connection=3) as server:
        async with open_socket(server, await new_account(server)) as socket:
            for id_ in ("1", "2", "3"):
                await socket.subscribe(id_, LISTEN)
            for _ in range(2):
                await socket.subscribe("4", LISTEN)
                refused = await socket.expect(id="4")
                assert refused["type"] == "error"
                assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
                assert refused["payload"][0]["extensions"]["retryAfterMs"] > 0
            # Who leaves makes room at once, not a little later.
            for id_ in ("3", "2", "1"):
                await socket.send({"type": "complete", "id": id_})
                await socket.subscribe("next " + id_, LISTEN)
            assert (await socket.execute(SEND, {"c": "x"}))["data"]
            for id_ in ("3", "2", "1"):
                assert (await socket.expect(id="next " + id_))["type"] == "next"
            await socket.settle()
            assert socket.inbox == []


async def test_operations_beyond_the_limit_wait_and_keep_their_order(tmp_path: Path) -> None:
    contents = [str(number) for number in range(250)]
    with running_server(tmp_path) as server:
        alice = await new_account(server)
        async with open_socket(server, alice) as socket, open_socket(server, alice) as other:
            await socket.subscribe("listen", LISTEN)
            await socket.settle()
            with nothing_is_written(tmp_path):
                for content in contents:
                    await socket.subscribe("send " + content, SEND, {"c": content})
                await socket.send({"type": "ping"})
                await other.settle()  # who only reads is not held up
            await socket.expect(type="pong")
            assert len([m for m in socket.inbox if m["type"] == "next"]) >= 150
            for content in contents:
                answer = await socket.expect(id="send " + content, type="next")
                assert answer["payload"]["data"]["sendMessage"]["content"] == content
            heard = [await socket.expect(id="listen") for _ in contents]
            assert [m["payload"]["data"]["messageAdded"]["content"] for m in heard] == contents


async def test_an_operation_that_its_client_completed_has_no_result(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        async with open_socket(server, await new_account(server)) as socket:
            with nothing_is_written(tmp_path):
                await socket.subscribe("1", SEND, {"c": "in flight"})
                await socket.send({"type": "ping"})
                await socket.expect(type="pong")
                await socket.send({"type": "complete", "id": "1"})
                await socket.subscribe("1", SEND, {"c": "of the same id"})
            result = (await socket.expect(id="1"))["payload"]["data"]
            assert result == {"sendMessage": {"content": "of the same id"}}
            assert await socket.expect(id="1") == {"id": "1", "type": "complete"}
            await socket.settle()
            assert socket.inbox == []


async def test_a_stop_answers_what_is_in_flight_and_then_closes_with_1012(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        alice = await new_account(server)
        async with (
            open_socket(server, alice) as socket,
            open_socket(server, alice) as listener,
            bare_socket(server) as silent,
        ):
            await listener.subscribe("listen", LISTEN)
            await listener.settle()
            with nothing_is_written(tmp_path):
                await socket.subscribe("send", SEND, {"c": "just in time"})
                await socket.send({"type": "ping"})
                await socket.expect(type="pong")
                server.server.should_exit = True
                # Who has nothing in flight is sent away first: by then the stop has begun.
                assert await silent.closed() == (1012, "Service restart: reconnect and resume")
                assert (await listener.closed())[0] == 1012
                assert socket.inbox == []
                with pytest.raises(OSError, match=r"refused|reset|closed"):
                    async with bare_socket(server):
                        pass
            code, reason = await socket.closed()
            assert (code, reason) == (1012, "Service restart: reconnect and resume")
            assert [m["type"] for m in socket.inbox] == ["next", "complete"]
            result: Any = socket.inbox[0]["payload"]["data"]
            assert result["sendMessage"] == {"content": "just in time"}
