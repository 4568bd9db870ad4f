"""`--workers 2` is one chat: every client of every kind, whatever ends or is killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from server.processes.listeners import bind
from server.processes.workers import Supervisor
from tests.faults.load import register
from tests.faults.processes import MAIN, WORKER_ENDED, Parley, parleys
from tests.faults.waits import until
from tests.faults.wire import WATCH, GraphQLClient
from tests.server.clients import everyone_talks, node_clients
from tests.server.raw_http import HANDSHAKE, RawConnection, ask, new_session, sessions_of_each
from tests.support.inbox import Inbox
from tests.support.mariadb import MariaDB
from tests.support.ports import free_port
from tests.support.redis import Redis, redis_server
from tests.support.server import make_settings

NAMES = {"0", "1"}
CLIENTS = 10


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A private Redis; skips where there is none."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def workers(
    mariadb: MariaDB, redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Parley]:
    """A server of two workers, which a test may kill; the last one is told to stop."""
    shared: dict[str, Any] = {"database_url": mariadb.url("workers"), "redis_url": redis.url}
    directory = tmp_path_factory.mktemp("workers")
    with parleys(directory, workers=2, allowed=(WORKER_ENDED,), **shared) as [parley]:
        yield parley


async def test_both_workers_get_connections(workers: Parley) -> None:
    begun = [(await new_session(workers.port)).partition(".")[0] for _ in range(8)]
    assert set(begun) == NAMES
    assert abs(begun.count("0") - begun.count("1")) <= 2


async def test_default_clients_connect_all_at_once_upgrade_and_talk(workers: Parley) -> None:
    users = await register(workers.port, CLIENTS)
    async with node_clients(workers.url, users) as clients:
        for client in clients:
            await client.expect_type("upgrade", transport="websocket")
        await everyone_talks(clients, users, rounds=2)


async def test_clients_that_only_poll_stay_with_their_worker(workers: Parley) -> None:
    users = await register(workers.port, 4)
    async with node_clients(workers.url, users, transports=["polling"]) as clients:
        await everyone_talks(clients, users, rounds=5)
        for client in clients:
            assert not [said for said in client.inbox if said["type"] == "upgrade"]


async def test_clients_that_begin_with_websocket_talk(workers: Parley) -> None:
    users = await register(workers.port, 3)
    async with node_clients(workers.url, users, transports=["websocket"]) as clients:
        await everyone_talks(clients, users, rounds=2)


async def test_a_connection_used_for_a_session_of_another_workers_is_sent_to_a_new_one(
    workers: Parley,
) -> None:
    async def ask_on_a_used_one(path: str, method: str, body: str = "") -> tuple[bool, str]:
        """Ask over a browser's connection, opened for something else; follow it to its end."""
        async with RawConnection(workers.port) as connection:
            health = await connection.ask("GET", "/health")
            assert health.headers.get("connection") != "close"
            answer = await connection.ask(method, path, body)
            assert answer.headers["connection"] == "close", answer
            assert await connection.ended()
        moved = answer.status == 307
        if moved:
            answer = await ask(workers.port, method, answer.headers["location"], body)
        assert answer.status == 200, answer
        return moved, answer.body

    moves = []
    for turn in range(8):
        path = f"{HANDSHAKE}&sid={await new_session(workers.port)}"
        if turn % 2:
            await ask(workers.port, "GET", "/health")  # the next connection goes to the other
        moved, said = await ask_on_a_used_one(path, "POST", "40")
        assert said == "ok"
        moves.append(moved)
        moved, said = await ask_on_a_used_one(path, "GET")
        assert said.startswith('40{"sid":')
        moves.append(moved)
    # Some were with the right worker already.
    assert {*moves} == {True, False}


async def test_a_session_that_nobody_holds_is_redirected_at_most_once(workers: Parley) -> None:
    for name in ("0", "1", "2", "elsewhere"):
        path = f"{HANDSHAKE}&sid={name}.AAAAAAAAAAAAAAAAAAAA"
        for _ in range(4):
            answer = await ask(workers.port, "GET", path)
            if answer.status == 307:
                location = answer.headers["location"]
                for _ in range(4):
                    answer = await ask(workers.port, "GET", location)
                    assert answer.status == 400, answer
            assert (answer.status, answer.body) == (
                400,
                '{"code":1,"message":"Session ID unknown"}',
            )


async def test_graphql_subscribers_of_every_worker_hear_each_message_once_in_order(
    workers: Parley,
) -> None:
    users = await register(workers.port, 6)
    # Connections go to the workers in turn.
    clients = [await GraphQLClient.open(workers.port, user.token) for user in users]
    try:
        last = await (await clients[0].start("first", "first", None))
        inboxes: list[Inbox[dict[str, Any]]] = [Inbox() for _ in users]
        for client, inbox in zip(clients, inboxes, strict=True):
            await client.watch(WATCH, inbox.put, after=last)
        sent = [
            await (await client.start(f"g{turn}-{number}", f"g{turn}", None))
            for turn in range(3)
            for number, client in enumerate(clients)
        ]
        assert sent == [*range(sent[0], sent[0] + len(sent))]
        for inbox in inboxes:
            heard = await inbox.expect_many(lambda _: True, len(sent))
            assert [int(data["messageAdded"]["id"]) for data in heard] == sent
    finally:
        for client in clients:
            await client.close()


async def test_a_first_line_that_comes_slowly_is_served_and_holds_up_nobody(
    workers: Parley,
) -> None:
    async with AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(RawConnection(workers.port)) for _ in range(50)]
        for connection in slow[1:]:
            await connection.send(b"GET /hea")
        began = time.monotonic()
        assert (await ask(workers.port, "GET", "/health")).status == 200
        assert time.monotonic() - began < 2
        for connection in slow:
            await connection.send(
                (b"lth" if connection is not slow[0] else b"GET /health") + b" HTTP/1.1\r\n"
            )
        for connection in slow:
            await connection.send(b"Host: x\r\n\r\n")
        for connection in slow:
            assert (await connection.answer()).status == 200


def _files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def test_thousands_of_connections_opened_and_dropped_leave_no_files(
    workers: Parley,
) -> None:
    async def settled() -> dict[int, int]:
        """The numbers of files once they do not change."""
        pids = [workers.pid, *workers.worker_pids()]
        async with asyncio.timeout(10):
            while True:
                before = {pid: _files(pid) for pid in pids}
                await asyncio.sleep(0.3)
                if before == {pid: _files(pid) for pid in pids}:
                    return before

    def drop(count: int) -> None:
        for number in range(count):
            with socket.create_connection(("127.0.0.1", workers.port)) as connection:
                if number % 3:
                    connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"[: 7 * (number % 7)])

    await asyncio.to_thread(drop, 50)
    before = await settled()
    for _ in range(3):
        await asyncio.to_thread(drop, 1000)
        assert (await ask(workers.port, "GET", "/health")).status == 200
    # A few more pooled connections to the database and Redis are no leak.
    await until(lambda: not any(_files(pid) > number + 10 for pid, number in before.items()), 15)


async def test_a_burst_of_connections_is_served_without_a_loss(workers: Parley) -> None:
    opening = [asyncio.open_connection("127.0.0.1", workers.port) for _ in range(700)]
    connections = await asyncio.gather(*opening)
    for _, writer in connections:
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(reader.read() for reader, _ in connections))
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 200"}
    for _, writer in connections:
        writer.close()


async def test_a_killed_worker_is_started_again_and_its_clients_come_back(
    workers: Parley,
) -> None:
    users = await register(workers.port, 4)
    again = {"reconnection": True, "reconnectionDelay": 50, "reconnectionDelayMax": 200}
    async with node_clients(workers.url, users, **again) as clients:
        for client in clients:
            await client.expect_type("upgrade")
        killed, other = workers.worker_pids()
        os.kill(killed, signal.SIGKILL)
        back = 0
        for client, user in zip(clients, users, strict=True):
            try:
                await client.expect_type("disconnect", timeout=1)
            except AssertionError:
                continue  # the other worker's
            back += 1
            await client.expect_type("connect")
            await client.send("emit", event="auth:login", args=[{"token": user.token}])
            await client.expect_type("event", event="auth:ok")
        assert 0 < back < len(clients)
        await sessions_of_each(workers.port, NAMES)
        assert other in workers.worker_pids()
        assert killed not in workers.worker_pids()
        for client in clients:
            client.inbox.clear()
        await everyone_talks(clients, users, rounds=1)


# Starting and ending.


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def _gone(pids: list[int], seconds: float) -> None:
    await until(lambda: not any(_alive(pid) for pid in pids), seconds)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_it_says_good_bye_and_leaves_nobody(
    number: int, mariadb: MariaDB, redis: Redis, tmp_path: Path
) -> None:
    shared: dict[str, Any] = {"database_url": mariadb.url("workers"), "redis_url": redis.url}
    with parleys(tmp_path, workers=2, **shared) as [parley]:
        pids = parley.worker_pids()
        assert len(pids) == 2
        [user] = await register(parley.port, 1)
        clients = [await GraphQLClient.open(parley.port, user.token) for _ in range(4)]
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(RawConnection(parley.port))  # undecided
            process = parley._running()
            began = time.monotonic()
            process.send_signal(number)
            closes = await asyncio.gather(*(client.closed() for client in clients))
            assert await asyncio.to_thread(process.wait, 10) == 0
            assert time.monotonic() - began < 10
            assert not any(_alive(pid) for pid in pids)
            assert {code for code, _ in closes} == {1001} or {code for code, _ in closes} == {1012}
        for client in clients:
            await client.close()


async def test_workers_whose_supervisor_is_killed_end_by_themselves(
    mariadb: MariaDB, redis: Redis, tmp_path: Path
) -> None:
    shared: dict[str, Any] = {"database_url": mariadb.url("workers"), "redis_url": redis.url}
    with parleys(tmp_path, workers=2, **shared) as [parley]:
        [user] = await register(parley.port, 1)
        client = await GraphQLClient.open(parley.port, user.token)
        pids = parley.worker_pids()
        os.kill(parley.pid, signal.SIGKILL)
        await _gone(pids, seconds=10)
        await client.close()
        assert "Traceback" not in parley.log.read_text()


def _serve(
    directory: Path, redis: Redis, *words: str, **settings: str
) -> "subprocess.CompletedProcess[str]":
    parley = Parley(directory, redis_url=redis.url, **settings)
    return subprocess.run(
        [sys.executable, str(MAIN), "serve", "--host", "127.0.0.1", "--workers", "2", *words],
        cwd=directory,
        env=parley.environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_workers_that_cannot_start_end_it_with_the_reason(redis: Redis, tmp_path: Path) -> None:
    # Only the workers read the secret.
    (tmp_path / "jwt_secret").touch()
    ended = _serve(tmp_path, redis, "--port", str(free_port()), jwt_secret="")
    assert ended.returncode == 3
    assert "jwt_secret is empty; delete it, or set JWT_SECRET" in ended.stderr
    assert "A worker ended before it had ever served" in ended.stderr
    assert "starting it again" not in ended.stderr
    assert ended.stderr.count("RuntimeError: ") <= 2  # each worker tried once
    assert "never retrieved" not in ended.stderr


def test_a_port_that_is_taken_is_said_in_a_line(redis: Redis, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = _serve(tmp_path, redis, "--port", str(port))
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_command_that_fails_is_run_once_a_worker(tmp_path: Path) -> None:
    note = f"open({str(tmp_path / 'runs')!r}, 'a').write('x'); raise SystemExit(1)"
    settings = make_settings(tmp_path, workers=3, redis_url="redis://127.0.0.1:1/0")
    supervisor = Supervisor(settings, [sys.executable, "-c", note], bind("127.0.0.1", 0))
    async with asyncio.timeout(10):
        assert await supervisor.run() == 3
    assert (tmp_path / "runs").read_text() in {"x", "xx", "xxx"}
