"""HTTP/1.0, idle connections, and the addresses that are listened on."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from server.processes.listeners import bind, is_everywhere
from tests.attacks.wires import Wire
from tests.faults.processes import MAIN
from tests.server.raw_http import RawConnection
from tests.server.test_http import large_history
from tests.support.faces import new_account
from tests.support.ports import free_port
from tests.support.server import RunningServer, running_server
from tests.support.tools import AS_INSTALLED


async def _whole(port: int, request: bytes) -> tuple[bytes, bytes]:
    wire = await Wire.open(port)
    await wire.send(request)
    head, _, body = (await wire.rest()).partition(b"\r\n\r\n")
    wire.writer.close()
    await wire.writer.wait_closed()
    return head.lower(), body


async def test_a_streamed_answer_to_http_1_0_has_no_chunks_and_ends_with_the_connection(
    tmp_path: Path,
) -> None:
    await large_history(tmp_path, 60)
    with running_server(tmp_path, broadcast_history="everything") as server:
        token = (await new_account(server)).token
        ask = f"GET /api/messages HTTP/1.%d\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        port = server.settings.port
        newer, chunks = await _whole(port, (ask % 1 + "Connection: close\r\n\r\n").encode())
        assert b"transfer-encoding: chunked" in newer
        assert not chunks.startswith(b"[")
        older, body = await _whole(port, (ask % 0 + "\r\n").encode())
        assert b"transfer-encoding" not in older
        assert b"connection: close" in older
        assert len(json.loads(body)) == 60
        kept, _ = await _whole(port, (ask % 0 + "Connection: keep-alive\r\n\r\n").encode())
        assert b"transfer-encoding" not in kept


async def test_http_1_0_is_told_nothing_of_100_continue(sqlite_chat: RunningServer) -> None:
    start = "POST /api/auth/login HTTP/1.%d\r\nHost: x\r\nExpect: 100-continue\r\n"
    rest = "Connection: close\r\nContent-Length: 2\r\n\r\n{}"
    port = sqlite_chat.settings.port
    older, _ = await _whole(port, (start % 0 + rest).encode())
    newer, _ = await _whole(port, (start % 1 + rest).encode())
    assert older.startswith(b"http/1.1 400")
    assert newer.startswith(b"http/1.1 100")


async def test_an_idle_connection_is_kept_as_long_as_the_setting_says(tmp_path: Path) -> None:
    with running_server(tmp_path, keep_alive_seconds=2) as server:
        async with RawConnection(server.settings.port) as connection:
            for _ in range(2):
                await connection.ask("GET", "/health")
                await asyncio.sleep(1.5)
            loop = asyncio.get_running_loop()
            answer = await connection.ask("GET", "/health")
            assert answer.headers["keep-alive"] == "timeout=2"
            began = loop.time()
            assert await connection.ended()
            assert 1.5 < loop.time() - began < 4


def _reached(port: int, *, family: int, address: str) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as peer:
        return peer.connect_ex((address, port)) == 0


@pytest.mark.parametrize(
    ("host", "both"),
    [
        ("", (True, True)),
        ("*", (True, True)),
        ("::", (True, True)),
        ("[::]", (True, True)),
        ("0.0.0.0", (True, False)),
        ("127.0.0.1", (True, False)),
        ("::1", (False, True)),
        ("127.0.0.1, ::1", (True, True)),
        ("127.0.0.1,127.0.0.1", (True, False)),
        ("0.0.0.0,::", (True, True)),
    ],
)
@pytest.mark.parametrize("chosen", [False, True], ids=["any port", "one port"])
def test_host_says_which_addresses_are_served(
    host: str, both: tuple[bool, bool], chosen: bool
) -> None:
    listeners = bind(host, free_port() if chosen else 0)
    try:
        [port] = {listener.getsockname()[1] for listener in listeners}
        for listener in listeners:
            listener.listen()
        assert _reached(port, family=socket.AF_INET, address="127.0.0.1") is both[0]
        assert _reached(port, family=socket.AF_INET6, address="::1") is both[1]
    finally:
        for listener in listeners:
            listener.close()


def test_a_port_in_use_and_an_address_of_others_are_named() -> None:
    [taken] = bind("127.0.0.1", 0)
    with taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port}: .*in use"):
            bind("127.0.0.1", port)
        with pytest.raises(OSError, match=f"cannot listen on port {port}"):
            bind("", port)
    with pytest.raises(OSError, match=r"192\.0\.2\.1"):
        bind("192.0.2.1", 0)
    with pytest.raises(OSError, match="no-such-host"):
        bind("no-such-host.invalid", 0)


def test_without_ipv6_ipv4_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without(family: int, *args: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *args)

    monkeypatch.setattr("server.processes.listeners.socket.socket", without)
    [listener] = bind("", 0)
    listener.close()
    with pytest.raises(OSError, match="::1"):
        bind("::1", 0)


def test_what_everywhere_is() -> None:
    assert all(map(is_everywhere, ("", "*", "::", "0.0.0.0", "127.0.0.1, ::")))
    assert not any(map(is_everywhere, ("127.0.0.1", "localhost", "::1, 10.0.0.1")))


def test_port_0_is_one_port_of_both_families_and_the_greeting_says_it(tmp_path: Path) -> None:
    environment = {**AS_INSTALLED, "PATH": os.environ["PATH"]}
    environment |= {"DATA_DIR": str(tmp_path), "LIMITS": "off"}
    with subprocess.Popen(
        [sys.executable, str(MAIN), "serve", "--port", "0"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            lines = iter(server.stdout.readline, "")
            base = next(line.split()[1] for line in lines if "REST" in line)
            port = int(base.removeprefix("http://localhost:").removesuffix("/api"))
            assert port > 0
            for address in ("127.0.0.1", "[::1]"):
                transport = httpx.HTTPTransport(retries=10)
                with httpx.Client(transport=transport, timeout=10) as client:
                    assert client.get(f"http://{address}:{port}/health").status_code == 200
        finally:
            server.terminate()
