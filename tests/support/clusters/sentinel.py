"""A Redis with a replica, and three Sentinels that choose the master."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.redis import Redis
from tests.support.tools import require

SERVICE = "chat"
SENTINELS = 3
# How long the Sentinels wait for a master that is silent.
DOWN_SECONDS = 1


class Replica(Redis):
    """A Redis that begins as another's replica."""

    def __init__(self, directory: Path, program: Path, master: Redis) -> None:
        super().__init__(directory, program)
        self._master = master

    def command(self) -> list[str]:
        """As Redis, following the master."""
        return [*super().command(), "--replicaof", self._master.host, str(self._master.port)]


class Sentinel(Redis):
    """One Sentinel."""

    def __init__(self, directory: Path, program: Path, master: Redis) -> None:
        super().__init__(directory, program)
        self._configuration = directory / "sentinel.conf"
        self._configuration.write_text(
            f"port {self.port}\nbind {self.host}\ndir {directory}\n"
            f"sentinel monitor {SERVICE} {master.host} {master.port} {SENTINELS // 2 + 1}\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_SECONDS * 1000}\n"
            f"sentinel failover-timeout {SERVICE} 6000\n"
        )

    def command(self) -> list[str]:
        """The same program, with a file that it keeps."""
        return [str(self._program), str(self._configuration), "--sentinel"]

    def knows(self) -> dict[str, str]:
        """What it knows of the master: its port, its replicas, the other Sentinels."""
        [line] = [line for line in self.execute("INFO sentinel").splitlines() if "master0:" in line]
        facts = dict(word.split("=", 1) for word in line.partition(":")[2].split(","))
        return {**facts, "port": facts["address"].rpartition(":")[2]}


class Watched:
    """Two servers and the Sentinels that watch them."""

    def __init__(self, servers: list[Redis], sentinels: list[Sentinel]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        """The address as REDIS_URL wants it."""
        hosts = ",".join(f"{sentinel.host}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    def master(self) -> Redis:
        """The server that the Sentinels call the master."""
        port = self.sentinels[0].knows()["port"]
        [found] = [server for server in self.servers if str(server.port) == port]
        return found

    def hand_over(self) -> None:
        """Have the replica become the master."""
        assert self.sentinels[0].execute(f"SENTINEL FAILOVER {SERVICE}") == "+OK"

    def is_whole(self) -> bool:
        """Whether the master has its replica, and the Sentinels agree on it and see each other."""
        known = [sentinel.knows() for sentinel in self.sentinels]
        if len({facts["port"] for facts in known}) > 1:
            return False
        if any(facts["sentinels"] != str(SENTINELS) for facts in known):
            return False
        try:
            replication = self.master().execute("INFO replication")
        except OSError:
            return False
        return "role:master" in replication and "state=online" in replication


@contextmanager
def watched_redis() -> Iterator[Watched]:
    """A running set, ended on the way out; skips where there is no Redis."""
    program = require("a Redis server", "redis-server", "valkey-server")
    with tempfile.TemporaryDirectory(prefix="parley-sentinel-") as home:

        def place(name: str) -> Path:
            directory = Path(home) / name
            directory.mkdir()
            return directory

        first = Redis(place("redis0"), program)
        second = Replica(place("redis1"), program, first)
        sentinels = [Sentinel(place(f"s{number}"), program, first) for number in range(SENTINELS)]
        try:
            for server in (first, second, *sentinels):
                server.start()
            yield Watched([first, second], sentinels)
        finally:
            for server in (first, second, *sentinels):
                server.kill()
