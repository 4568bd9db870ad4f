"""What is measured: Parley and its Node.js peers, each over the same durable MariaDB."""

import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

import jwt

from bench.servers import processes
from bench.servers.packages import PEERS, node_with_packages
from bench.servers.processes import Times
from tests.support.daemon import Daemon
from tests.support.mariadb import MariaDB
from tests.support.redis import Redis

SECRET = "the secret of a benchmark: long enough to sign with, and known to everybody"  # noqa: S105
HERE = Path(__file__).parent.parent.parent
TOKEN_SECONDS = 7 * 24 * 3600


class DurableMariaDB(MariaDB):
    """The tests' server (each commit flushed to the disk) with room for millions of messages."""

    def _sizes(self) -> list[str]:
        return [
            "--innodb-buffer-pool-size=1G",
            "--innodb-log-file-size=512M",
            f"--tmpdir={self.directory}",
        ]

    def create_database(self, name: str) -> None:
        """Make an empty database with the character set that both kinds of server want."""
        self.execute(f"DROP DATABASE IF EXISTS {name}")
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")


class Served(Daemon):
    """A server under test: told where its database is, and the secret of its tokens."""

    kind = ""

    def __init__(
        self, directory: Path, database: MariaDB, name: str, redis: Redis | None = None
    ) -> None:
        super().__init__(directory)
        self.database = database
        self.name = name  # of its database
        self.redis = redis

    def environment(self) -> dict[str, str]:
        """Where things are; what a deployment says, and no more."""
        inherited = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
        return {name: os.environ[name] for name in inherited if name in os.environ} | {
            "PORT": str(self.port),
            "DB_HOST": self.database.host,
            "DB_PORT": str(self.database.port),
            "DB_USER": self.database.user,
            "DB_PASS": self.database.password,
            "DB_NAME": self.name,
            "JWT_SECRET": SECRET,
        }

    def answers(self) -> bool:
        """Whether it serves HTTP."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.port}/health", timeout=5) as got:
                return bool(got.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def times(self) -> Times:
        """The CPU time that each of the programs of this run has used so far."""
        return Times(
            processes.cpu_seconds(processes.family(self.pid)),
            processes.cpu_seconds([self.database.pid]),
            processes.cpu_seconds([self.redis.pid]) if self.redis else 0.0,
            time.process_time(),
            processes.machine_seconds(),
        )

    def resident_bytes(self) -> int:
        """The memory of its processes."""
        return processes.resident_bytes(processes.family(self.pid))


class Parley(Served):
    """`main.py serve`, with its defaults but for the limits, which would end the load."""

    kind = "Parley"
    tree = HERE
    workers = 1

    def command(self) -> list[str]:
        """The command line; a second worker is the only thing it is ever asked for."""
        program = [sys.executable, str(self.tree / "main.py"), "serve"]
        return program if self.workers == 1 else [*program, "--workers", str(self.workers)]

    def environment(self) -> dict[str, str]:
        """The deployment's settings; the peers write no access log either."""
        settings = {
            "HOST": self.host,
            "DATA_DIR": str(self.directory),
            "LOG_LEVEL": "WARNING",
            "LIMITS": "off",
        }
        if self.redis is not None:
            settings["REDIS_URL"] = self.redis.url
        return super().environment() | settings


class NodeServer(Served):
    """A server of bench/peers, under Node."""

    script = ""

    def command(self) -> list[str]:
        """Node and the script."""
        return [str(node_with_packages()), str(PEERS / self.script)]

    def environment(self) -> dict[str, str]:
        """As in production: Express and others are slower otherwise."""
        return super().environment() | {"NODE_ENV": "production"}


class YogaPeer(NodeServer):
    """graphql-yoga and graphql-ws."""

    kind = "graphql-yoga"
    script = "yoga.mjs"


class ExpressPeer(NodeServer):
    """Express and Socket.IO."""

    kind = "Express + Socket.IO"
    script = "express.mjs"


class Bench:
    """The private servers of one run, and where the measured ones put their files."""

    def __init__(self, database: DurableMariaDB, redis: Redis | None = None) -> None:
        self.database = database
        self.redis = redis
        self._directories = TemporaryDirectory(prefix="parley-bench-")
        self._made: set[str] = set()

    def server(
        self, kind: type[Served], name: str, *, redis: bool = False, workers: int = 1
    ) -> Served:
        """A server, not yet started, whose database `name` outlives its restarts."""
        if name not in self._made:
            self.database.create_database(name)
            self._made.add(name)
        directory = Path(self._directories.name) / name
        directory.mkdir(exist_ok=True)
        served = kind(directory, self.database, name, self.redis if redis else None)
        if isinstance(served, Parley):
            served.workers = workers
        return served

    def drop(self, name: str) -> None:
        """Give back the disk space of a database."""
        self.database.execute(f"DROP DATABASE IF EXISTS {name}")
        self._made.discard(name)

    def close(self) -> None:
        """Remove the servers' files."""
        self._directories.cleanup()


def sign_token(user_id: int) -> str:
    """A token as each of the servers would sign it."""
    now = int(time.time())
    claims = {"sub": str(user_id), "iat": now, "exp": now + TOKEN_SECONDS}
    return jwt.encode(claims, SECRET, algorithm="HS256")
