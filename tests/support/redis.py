"""A throw-away Redis server that keeps nothing on disk."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.tools import require

CLIENT_SECONDS = 5.0


class Redis(Daemon):
    """One private redis-server; a restart comes back empty."""

    def __init__(self, directory: Path, program: Path) -> None:
        super().__init__(directory)
        self._program = program

    @property
    def url(self) -> str:
        """The address as REDIS_URL wants it."""
        return f"redis://{self.host}:{self.port}/0"

    def command(self) -> list[str]:
        """redis-server without a configuration file and without persistence."""
        options = {
            "bind": self.host,
            "port": str(self.port),
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "dir": str(self.directory),
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [str(self._program), *words]

    def answers(self) -> bool:
        """Whether a server answers, and it is this one."""
        try:
            facts = self.execute("INFO server")
        except OSError:
            return False
        return f"process_id:{self.pid}" in facts.splitlines()

    def execute(self, command: str) -> str:
        """The answer to one inline command: a bulk string's text, or else the first line."""
        with socket.create_connection((self.host, self.port), CLIENT_SECONDS) as connection:
            connection.sendall(command.encode() + b"\r\n")
            answer = connection.makefile("rb")
            line = answer.readline().decode().rstrip("\r\n")
            return answer.read(max(0, int(line[1:]))).decode() if line.startswith("$") else line


@contextmanager
def redis_server() -> Iterator[Redis]:
    """A running private redis-server, ended on the way out; skips where there is none."""
    program = require("a Redis server", "redis-server", "valkey-server")
    with tempfile.TemporaryDirectory(prefix="parley-redis-") as directory:
        server = Redis(Path(directory), program)
        try:
            server.start()
            yield server
        finally:
            server.kill()
