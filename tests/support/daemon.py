"""A server program of the tests' own: started, ended, paused and restarted by its pid."""

import atexit
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from tests.support.ports import free_port

START_SECONDS = 30.0
STOP_SECONDS = 15.0
PROBE_SECONDS = 0.02


class Daemon(ABC):
    """One server process on 127.0.0.1 at a time; its port and directory outlive restarts.

    Every method blocks: beside a running event loop, call it through asyncio.to_thread.
    """

    host = "127.0.0.1"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port(self.host)
        self.log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments, to run in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether this very process answers a client now; returns within seconds."""

    def environment(self) -> dict[str, str] | None:
        """The program's environment; None for that of the tests."""
        return None

    @property
    def pid(self) -> int:
        """The running process's id."""
        return self._running().pid

    def start(self) -> None:
        """Start the server and return once it answers."""
        if self._process is not None:
            raise RuntimeError(f"already running: {self}")
        with self.log.open("ab") as log:
            # A session of its own: an interrupt of the tests must not race with their clean-up.
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self.environment(),
                start_new_session=True,
            )
        atexit.register(self.kill)
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End the server as an operator would (SIGTERM), in bounded time; idempotent."""
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)  # a paused process would keep the SIGTERM waiting
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the server at once (SIGKILL); idempotent."""
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait()
        self._process = None
        atexit.unregister(self.kill)

    def pause(self) -> None:
        """Freeze the server (SIGSTOP): its connections stay open and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"not running: {self}")
        return self._process

    def _wait_until_ready(self) -> None:
        process = self._running()
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if process.poll() is not None:
                raise RuntimeError(f"{self} ended with {process.returncode}:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self} never answered:\n{self._log_tail()}")
            time.sleep(PROBE_SECONDS)

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def __str__(self) -> str:
        return f"{type(self).__name__} on {self.host}:{self.port}"
