"""Every TCP connection is counted for its address, and descriptors are kept back for our work."""

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from server.processes.descriptors import Descriptors, raise_limit
from tests.attacks.wires import Answer, Wire, handshake, http_request
from tests.faults.processes import MAIN
from tests.support.ports import free_port
from tests.support.server import RunningServer, running_server
from tests.support.tools import AS_INSTALLED

LIMIT = 5
HEALTH = http_request("GET", "/health")
LOGIN = http_request("POST", "/api/auth/login", body=b"{}")
HALF = b"GET /health HTTP/1.1\r\nX: "


async def opened(stack: AsyncExitStack, server: RunningServer, source: str | None = None) -> Wire:
    wire = await Wire.open(server.settings.port, source=source)
    stack.callback(wire.abort)
    return wire


async def said(stack: AsyncExitStack, server: RunningServer, data: bytes) -> Wire:
    wire = await opened(stack, server)
    await wire.send(data)
    return wire


@pytest.fixture
def few(tmp_path: Path) -> object:
    """A server that lets few connections in from an address."""
    with running_server(tmp_path, limits=True, max_connections_per_address=LIMIT) as server:
        yield server


HOLDING = {
    "nothing": b"",
    "half a head": HALF,
    "half a body": LOGIN[:-1],
    "an open WebSocket": handshake("/graphql"),
    "a WebSocket with a long head": handshake("/graphql", f"Cookie: {'k' * 9000}\r\n"),
}


@pytest.mark.parametrize("data", HOLDING.values(), ids=HOLDING)
async def test_connections_of_every_kind_count_until_they_end(
    few: RunningServer, data: bytes
) -> None:
    async with AsyncExitStack() as stack:
        held = [await said(stack, few, data) for _ in range(LIMIT)]
        await asyncio.sleep(0.1)
        for request in (LOGIN, handshake("/graphql"), handshake("/socket.io/?EIO=4")):
            refused = await (await said(stack, few, request)).answer()
            assert (refused.status, refused.headers["retry-after"]) == (429, "10")
            assert json.loads(refused.body)["code"] == "RATE_LIMITED"
        # Whoever looks after the server from there still sees how it is.
        assert (await (await said(stack, few, HEALTH)).answer()).status == 200
        other = await opened(stack, few, "127.0.0.2")
        await other.send(LOGIN)
        assert (await other.answer()).status == 400
        held[0].abort()
        await asyncio.sleep(0.1)
        assert (await (await said(stack, few, LOGIN)).answer()).status == 400


async def test_an_idle_connection_makes_room_for_a_new_one(few: RunningServer) -> None:
    async with AsyncExitStack() as stack:
        idle = []
        for _ in range(LIMIT):
            idle.append(await said(stack, few, LOGIN))
            assert (await idle[-1].answer()).status == 400
        await idle[0].send(LOGIN)  # so that it is idle for the shortest time
        await idle[0].answer()
        assert (await (await said(stack, few, LOGIN)).answer()).status == 400
        assert await idle[1].rest(2) == b""
        for wire in (idle[0], idle[2]):
            await wire.send(LOGIN)
            assert (await wire.answer()).status == 400


async def test_the_connections_of_a_trusted_proxy_are_those_of_its_clients(tmp_path: Path) -> None:
    def asking(client: str, request: bytes = LOGIN) -> bytes:
        return request.replace(b"\r\n", f"\r\nX-Forwarded-For: {client}\r\n".encode(), 1)

    trusted = {"trusted_proxies": ("127.0.0.1",), "max_connections_per_address": LIMIT}
    with running_server(tmp_path, limits=True, **trusted) as server:
        async with AsyncExitStack() as stack:
            idle = []
            for _ in range(4 * LIMIT):
                idle.append(await said(stack, server, asking("203.0.113.1")))
                assert (await idle[-1].answer()).status == 400
            sockets = [
                await said(stack, server, asking("203.0.113.1", handshake("/graphql")))
                for _ in range(LIMIT)
            ]
            for wire in sockets:
                assert (await wire.answer()).status == 101
            for request, status in ((LOGIN, 429), (handshake("/graphql"), 429)):
                await idle[0].send(asking("203.0.113.1", request))
                assert (await idle[0].answer()).status == status
                # The same connection serves others.
                await idle[0].send(asking("203.0.113.2", LOGIN))
                assert (await idle[0].answer()).status == 400
            await idle[0].send(HEALTH)  # the proxy's own
            assert (await idle[0].answer()).status == 200
            sockets[0].abort()
            await asyncio.sleep(0.1)
            await idle[0].send(asking("203.0.113.1"))
            assert (await idle[0].answer()).status == 400


def test_the_limit_is_raised_to_the_hard_one() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "from server.processes.descriptors import raise_limit; print(raise_limit())",
        ],
        cwd=MAIN.parent,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2048)),
        capture_output=True,
        check=True,
        text=True,
    )
    assert said.stdout.strip() == "2048"
    assert raise_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_what_is_reserved_is_told_by_the_numbers_of_descriptors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    descriptors = Descriptors(1024)
    assert [descriptors.is_short(number) for number in (5, 895, 896, 1000)] == [
        *(False, False),
        *(True, True),
    ]
    assert [descriptors.is_out(number) for number in (896, 959, 960)] == [False, False, True]
    assert [record.getMessage()[:20] for record in caplog.records] == ["Nearly all of 1024 f"]
    assert not descriptors.is_short(5)
    assert "There are file descriptors again" in caplog.text


async def _ask(port: int, request: bytes) -> Answer:
    wire = await Wire.open(port)
    try:
        await wire.send(request)
        return await wire.answer()
    finally:
        wire.abort()


def _start_with(limit: int, port: int, directory: Path, log: Path) -> subprocess.Popen[bytes]:
    """A server that may have so many files open."""
    environment = {
        **os.environ,
        **AS_INSTALLED,
        "DATA_DIR": str(directory),
        "LIMITS": "off",
        "ENV": "test",
        "BCRYPT_ROUNDS": "4",
        "REQUEST_HEAD_SECONDS": "60",
        "LOG_LEVEL": "WARNING",
        "CONNECTION_INIT_SECONDS": "60",
    }
    with log.open("w") as written:
        return subprocess.Popen(
            [sys.executable, str(MAIN), "serve", "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            stdout=written,
            stderr=written,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
        )


@pytest.mark.parametrize("limit", [256, 400])
async def test_near_the_last_descriptor_new_ones_are_refused_and_ready_is_answered(
    tmp_path: Path, limit: int
) -> None:
    port, log = free_port(), tmp_path / "log"
    server = _start_with(limit, port, tmp_path, log)
    held: list[Wire] = []
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    assert (await _ask(port, HEALTH)).status == 200
                    break
                except OSError:
                    await asyncio.sleep(0.1)
        for number in range(limit + 50):
            wire = await Wire.open(port)
            held.append(wire)
            wire.writer.write(HALF)
            if number % 50 == 49:
                await asyncio.sleep(0.05)
        await asyncio.sleep(3)  # who was on probation has gone
        for path in ("/health", "/ready"):
            assert (await _ask(port, http_request("GET", path))).status == 200
        registration = b'{"email": "a@example.com", "password": "123456", "displayName": "A"}'
        register = http_request("POST", "/api/auth/register", body=registration)
        refused = await _ask(port, register)
        assert (refused.status, refused.headers["retry-after"]) == (503, "10")
        assert "no room" in json.loads(refused.body)["message"]
        text = log.read_text()
        assert text.count("file descriptors are in use") == 1
        assert "Traceback" not in text
        assert "Too many open files" not in text
        for wire in held:
            wire.abort()
        await asyncio.sleep(0.5)
        assert (await _ask(port, register)).status == 200
        assert log.read_text().count("file descriptors again") == 1
    finally:
        for wire in held:
            wire.abort()
        server.terminate()
        await asyncio.to_thread(server.wait, 20)


def _cpu_seconds(process: int) -> float:
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _started_with(limit: int, directory: Path) -> Iterator[tuple[int, int, Path]]:
    """A server that may have so many files open: its port, its process, its log."""
    port, log = free_port(), directory / "log"
    server = _start_with(limit, port, directory, log)
    try:
        yield port, server.pid, log
    finally:
        server.terminate()
        server.wait(20)


async def _wait_until_it_serves(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(OSError):
                if (await _ask(port, HEALTH)).status == 200:
                    return
            await asyncio.sleep(0.1)


async def test_more_websockets_than_files_are_refused_with_a_reason_and_served_again_later(
    tmp_path: Path,
) -> None:
    limit = 300
    with _started_with(limit, tmp_path) as (port, process, log):
        await _wait_until_it_serves(port)
        held: list[Wire] = []
        try:
            answers = []
            for _ in range(limit + 100):
                wire = await Wire.open(port)
                held.append(wire)
                await wire.send(handshake("/graphql"))
                answers.append(await wire.answer())
            statuses = [answer.status for answer in answers]
            opened = statuses.index(503)
            assert statuses == [101] * opened + [503] * (limit + 100 - opened)
            assert opened > limit // 2
            for refused in answers[opened:]:
                assert refused.headers["retry-after"] == "10"
                assert "no room" in json.loads(refused.body)["message"]
            assert (await _ask(port, http_request("GET", "/ready"))).status == 200
            # Nothing turns in circles while there is no room.
            before = _cpu_seconds(process)
            await asyncio.sleep(1)
            assert _cpu_seconds(process) - before < 0.3
            assert len(re.findall("file descriptors are in use", log.read_text())) == 1
        finally:
            for wire in held:
                wire.abort()
        async with asyncio.timeout(10):
            while True:  # the server hears one after the other that they have gone
                wire = await Wire.open(port)
                await wire.send(handshake("/graphql"))
                status = (await wire.answer()).status
                wire.abort()
                if status == 101:
                    break
        for text in ("Traceback", "Too many open files"):
            assert text not in log.read_text()
