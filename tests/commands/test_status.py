"""`main.py status`: every process of a running server is asked over its private socket."""

import argparse
import asyncio
import os
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands import status
from server.processes.status_socket import (
    QUESTION_SECONDS,
    SUFFIX,
    StatusSocket,
    ask_all,
    is_served,
)
from tests.commands.checked import run
from tests.faults.processes import WORKER_ENDED, Parley, parleys
from tests.faults.waits import until
from tests.support.cut import CuttableProxy
from tests.support.faces import GraphQLFace, RestFace, SocketIOFace, new_account
from tests.support.mariadb import MariaDB
from tests.support.redis import Redis, redis_server
from tests.support.server import RunningServer, running_server

WAIT_SECONDS = 20
SILENT = r"Worker \d is silent for \d+ s: ended"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of these tests."""
    with running_server(tmp_path_factory.mktemp("status")) as running:
        yield running


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A private Redis; skips where there is none."""
    with redis_server() as running:
        yield running


async def asked(server: RunningServer, *, with_users: bool = False) -> dict[str, Any]:
    """Return what the server's one process says of itself."""
    [answer] = await ask_all(server.settings.data_dir, with_users=with_users)
    assert answer.told is not None
    return answer.told


def _short(path: Path) -> str:
    """Return a path that is short enough for a socket."""
    return os.path.relpath(path)


def printed(server: RunningServer, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what the command prints of the server."""
    parser = argparse.ArgumentParser()
    status.add_parser(parser.add_subparsers())
    status.run(server.settings, parser.parse_args(["status", *words]))
    return capsys.readouterr().out


async def test_connections_are_counted_by_face_while_they_last(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    ada, bob = await new_account(server, "ada"), await new_account(server, "bob")
    async with AsyncExitStack() as stack:
        for account in (ada, bob, None):
            await stack.enter_async_context(GraphQLFace.open(server, account))
        await stack.enter_async_context(SocketIOFace.open(server, ada))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=server.url))
        headers = {"Authorization": f"Bearer {ada.token}", "Accept": "text/event-stream"}
        body = {"query": "subscription { messageAdded { id } }"}
        stream = http.stream("POST", "/graphql", json=body, headers=headers)
        await (await stack.enter_async_context(stream)).aiter_bytes().__anext__()
        told = await asked(server, with_users=True)
        assert told["connections"] == {
            "graphqlWebSocket": {"open": 3, "loggedIn": 2},
            "graphqlEventStream": {"open": 1, "loggedIn": 1},
            "socketio": {"open": 1, "loggedIn": 1},
        }
        assert told["users"]["here"] == 2
        assert told["connected"] == [
            {
                "id": ada.id,
                "email": ada.email,
                "connections": {"graphqlWebSocket": 1, "socketio": 1, "graphqlEventStream": 1},
            },
            {"id": bob.id, "email": bob.email, "connections": {"graphqlWebSocket": 1}},
        ]
        assert told["queues"] == {"readers": 4, "waiting": 0, "longest": 0, "most": 1000}
        shown = await asyncio.to_thread(printed, server, capsys, "--users")
        assert "GraphQL over WebSocket 3 (2 logged in)" in shown
        assert f"user {bob.id}  {bob.email}: GraphQL over WebSocket 1" in shown
    async with asyncio.timeout(WAIT_SECONDS):
        while (told := await asked(server))["connections"]["socketio"]["open"]:
            assert told["users"]["here"] <= 2


async def test_the_log_and_the_database_are_told(server: RunningServer) -> None:
    before = await asked(server)
    async with RestFace.open(server, await new_account(server)) as face:
        await face.send("a message")
    told = await asked(server)
    assert told["log"]["head"] > before["log"]["head"]
    assert told["log"]["position"] == told["log"]["head"]
    assert (told["log"]["behind"], told["log"]["waiting"]) == (0, 0)
    assert told["database"]["answers"] is True
    assert told["database"]["version"].startswith("SQLite 3")
    assert told["redis"]["used"] is False
    assert told["search"] == {"on": False}
    assert told["openFiles"] > 3
    assert told["memoryBytes"] > 1024**2
    assert told["process"] == os.getpid()


async def test_nobody_else_gets_at_the_socket(server: RunningServer) -> None:
    directory = server.settings.data_dir / "run"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    [name] = directory.glob(f"*{SUFFIX}")
    assert stat.S_ISSOCK(name.stat().st_mode)
    assert stat.S_IMODE(name.stat().st_mode) == 0o600
    async with httpx.AsyncClient(base_url=server.url) as http:
        for path in ("/status", "/api/status", "/run"):
            assert (await http.get(path)).status_code == 404


async def test_who_asks_nothing_or_goes_away_hinders_nobody(server: RunningServer) -> None:
    directory = server.settings.data_dir / "run"
    [name] = directory.glob(f"*{SUFFIX}")
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as gone:
        for peer in (silent, gone):
            peer.setblocking(False)
            await loop.sock_connect(peer, _short(name))
        gone.close()
        async with asyncio.timeout(QUESTION_SECONDS + WAIT_SECONDS):
            await asked(server)


async def test_a_socket_of_a_killed_process_is_removed(server: RunningServer) -> None:
    left = server.settings.data_dir / "run" / f"1-abc{SUFFIX}"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(_short(left))
    await asked(server)
    assert not left.exists()


def test_where_nothing_runs_that_is_said(tmp_path: Path) -> None:
    done = run(tmp_path, "status")
    assert done.returncode == 1
    assert f"No server with DATA_DIR={tmp_path / 'data'} runs here" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_a_directory_of_another_user_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run").mkdir()
    os.chown(tmp_path / "run", 65534, 65534)
    with running_server(tmp_path) as server:  # it serves all the same
        assert "belongs to user 65534" in caplog.text
        with pytest.raises(OSError, match="belongs to user 65534"):
            await ask_all(server.settings.data_dir)


async def test_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    data_dir = tmp_path / ("x" * 120)

    async def describe(with_users: bool) -> dict[str, Any]:
        return {"with": with_users}

    assert not is_served(data_dir)
    channel = StatusSocket(data_dir, describe)
    await channel.start()
    try:
        [answer] = await ask_all(data_dir, with_users=True)
        assert answer.told is not None
        assert answer.told["with"] is True
        assert is_served(data_dir)
    finally:
        await channel.close()
    assert [*(data_dir / "run").iterdir()] == []
    assert not is_served(data_dir)


async def test_a_database_that_is_away_is_told_in_time(
    mariadb: MariaDB, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = CuttableProxy(mariadb.port)
    await network.heal()
    url = mariadb.url("status").replace(f":{mariadb.port}/", f":{network.port}/")
    # The proxy runs in this loop, which the start and the end must not block.
    running = running_server(tmp_path, database_url=url)
    server = await asyncio.to_thread(running.__enter__)
    try:
        assert (await asked(server))["database"]["version"].startswith("MariaDB")
        await network.cut()
        async with asyncio.timeout(WAIT_SECONDS):
            told = await asked(server)
        assert told["database"]["answers"] is False
        assert told["log"]["head"] is None
        with pytest.raises(SystemExit) as end:
            await asyncio.to_thread(printed, server, capsys)
        assert end.value.code == 1
        shown = capsys.readouterr()
        assert "AWAY" in shown.out
        assert "the database" in shown.err
        assert mariadb.password not in shown.out + shown.err
        await network.heal()
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)
        await network.cut()


async def test_each_worker_answers_for_itself_and_one_that_does_not_is_told(
    mariadb: MariaDB, redis: Redis, tmp_path: Path
) -> None:
    shared: dict[str, Any] = {"database_url": mariadb.url("workers"), "redis_url": redis.url}
    with parleys(tmp_path, workers=2, allowed=(WORKER_ENDED, SILENT), **shared) as [parley]:
        await until(lambda: len(parley.worker_pids()) == 2, WAIT_SECONDS)
        workers = parley.worker_pids()
        answers = {answer.process: answer.told for answer in await _expect(parley, 3)}
        supervisor = answers[parley.pid]
        assert supervisor is not None
        assert [worker["process"] for worker in supervisor["workers"]] == workers
        assert all(worker["ready"] for worker in supervisor["workers"])
        for name, process in enumerate(workers):
            told = answers[process]
            assert told is not None
            assert (told["name"], told["parent"]) == (str(name), parley.pid)
            assert told["redis"]["connected"] is True
        where = {"DATA_DIR": str(parley.directory)}
        done = await asyncio.to_thread(run, tmp_path, "status", **where)
        assert done.returncode == 0, done.stderr
        assert "2 of 2 workers ready" in done.stdout
        os.kill(workers[0], signal.SIGSTOP)
        try:
            done = await asyncio.to_thread(run, tmp_path, "status", **where)
        finally:
            with suppress(ProcessLookupError):  # it was found to be frozen, and replaced
                os.kill(workers[0], signal.SIGCONT)
        assert done.returncode == 1
        assert f"process {workers[0]} does not answer" in done.stderr
        assert f"process {workers[1]}" in done.stdout


async def _expect(parley: Parley, number: int) -> list[Any]:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            answers = await ask_all(parley.directory)
            if len(answers) == number and all(answer.told for answer in answers):
                return answers
            await asyncio.sleep(0.05)
