"""Under systemd: sockets that are handed over, and reports of being ready, alive and stopping."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from server.processes.service_manager import ServiceManager
from settings import VERSION
from tests.faults.processes import MAIN, Parley
from tests.support.mariadb import MariaDB
from tests.support.redis import redis_server
from tests.support.tools import require

WAIT_SECONDS = 30
WATCHDOG_SECONDS = 0.4
# How systemd takes a service to have stopped cleanly, beside 0: by the signal that it was sent.
CLEAN = (0, -signal.SIGTERM)


class Notified(Parley):
    """An instance that is started as systemd starts it: with sockets in its descriptors."""

    def __init__(
        self, directory: Path, listener: socket.socket, told: Mapping[str, str], **settings: object
    ) -> None:
        super().__init__(directory, **settings)
        self._listener = listener
        self._told = told
        self.port = listener.getsockname()[1]

    def command(self) -> list[str]:
        """Python puts the socket where systemd does, names this process, and becomes the server."""
        words = [sys.executable, str(MAIN), "serve", "--workers", str(self.workers)]
        become = (
            "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid());"
            " os.dup2(0, 3); os.set_inheritable(3, True); os.execv(sys.argv[1], sys.argv[1:])"
        )
        return [sys.executable, "-c", become, *words]

    def environment(self) -> dict[str, str]:
        """As for other instances; what systemd tells; and a PORT that must not matter."""
        return {**super().environment(), "PORT": "1", "LISTEN_FDS": "1", **self._told}

    def start(self) -> None:
        """Start with the socket as standard input, which is how it comes into the process."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=self._listener.fileno(),
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self.environment(),
                start_new_session=True,
            )

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal; return the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(WAIT_SECONDS)


@contextmanager
def _manager(directory: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearing:
        hearing.bind(str(directory / "notify"))
        hearing.settimeout(WAIT_SECONDS)
        yield hearing


@contextmanager
def _listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def _hear(manager: socket.socket, wanted: str) -> str:
    while wanted not in (told := manager.recv(4096).decode()):
        pass
    return told


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_is_ready_alive_and_stopping(
    request: pytest.FixtureRequest, tmp_path: Path, workers: int
) -> None:
    settings: dict[str, object] = {"workers": workers}
    told = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1e6)),
    }
    with _manager(tmp_path) as manager, _listening() as listener, redis_server() as redis:
        if workers > 1:
            mariadb: MariaDB = request.getfixturevalue("mariadb")
            settings |= {"database_url": mariadb.url("notified"), "redis_url": redis.url}
        parley = Notified(tmp_path, listener, told, **settings)
        parley.start()
        try:
            # The socket listens before the server does: who comes early waits, and is served.
            with urllib.request.urlopen(f"{parley.url}/ready", timeout=WAIT_SECONDS) as early:
                assert early.status == 200
            ready = _hear(manager, "READY=1")
            assert f"127.0.0.1 port {parley.port}" in ready
            for _ in range(3):
                _hear(manager, "WATCHDOG=1")
            assert parley.end() in CLEAN
            _hear(manager, "STOPPING=1")
        finally:
            parley.kill()
    assert parley.complaints() == []


def test_a_watchdog_hears_nothing_of_a_frozen_server(tmp_path: Path) -> None:
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    with _manager(tmp_path) as manager, _listening() as listener:
        parley = Notified(tmp_path, listener, told)
        parley.start()
        try:
            _hear(manager, "WATCHDOG=1")
            parley.pause()
            manager.settimeout(3 * WATCHDOG_SECONDS)
            with suppress(TimeoutError):
                for _ in range(3):  # two may be on their way
                    manager.recv(4096)
                pytest.fail("a frozen server says that it lives")
        finally:
            parley.kill()


def test_nobody_is_refused_while_a_socket_outlives_its_server(tmp_path: Path) -> None:
    with _listening() as listener:
        first, second = (Notified(tmp_path, listener, {}) for _ in range(2))
        first.start()
        try:
            with urllib.request.urlopen(f"{first.url}/health", timeout=WAIT_SECONDS):
                assert first.end() in CLEAN
            with socket.create_connection(("127.0.0.1", first.port)) as between:
                between.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                second.start()
                between.settimeout(WAIT_SECONDS)
                assert between.recv(4096).startswith(b"HTTP/1.1 200")
        finally:
            first.kill()
            second.kill()


def test_systemds_own_activation_starts_it(tmp_path: Path) -> None:
    program = require("systemd", "systemd-socket-activate")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**Parley(tmp_path).environment()}
    passed = [f"--setenv={name}={value}" for name, value in environment.items()]
    command = [str(program), f"--listen=127.0.0.1:{port}", *passed, sys.executable, str(MAIN)]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([*command, "serve"], cwd=tmp_path, stderr=log, stdout=log) as process,
    ):
        try:
            answer = _ask_until_it_listens(port)
            assert json.loads(answer)["version"] == VERSION
        finally:
            process.terminate()
            process.wait(WAIT_SECONDS)


def _ask_until_it_listens(port: int) -> bytes:
    url = f"http://127.0.0.1:{port}/health"
    while True:
        try:
            with urllib.request.urlopen(url, timeout=WAIT_SECONDS) as answer:
                return bytes(answer.read())
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise


def test_variables_for_another_process_are_left_alone() -> None:
    environment = {"LISTEN_PID": "1", "LISTEN_FDS": "3", "WATCHDOG_PID": "1"}
    environment |= {"WATCHDOG_USEC": "1000", "PATH": "/bin"}
    manager = ServiceManager.of(environment)
    assert manager.listeners == []
    assert environment == {"PATH": "/bin"}


async def test_without_a_manager_nothing_is_told() -> None:
    before = asyncio.all_tasks()
    manager = ServiceManager.of({})
    manager.report_ready("serving")
    manager.report_stopping()
    assert asyncio.all_tasks() == before


def test_what_is_no_listening_socket_is_refused(tmp_path: Path) -> None:
    # Descriptors 3 and up are in use in this process, so another one tells.
    code = (
        "import os; from server.processes.service_manager import ServiceManager as M;"
        "os.dup2(0, 3); M.of({'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'})"
    )
    with socket.socket() as unbound, (tmp_path / "file").open("w+b") as file:
        for descriptor, why in ((unbound, "is no listening stream socket"), (file, "is no socket")):
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=MAIN.parent,
                stdin=descriptor.fileno(),
                capture_output=True,
                text=True,
                check=False,
            )
            assert f"LISTEN_FDS: descriptor 3 {why}" in done.stderr
