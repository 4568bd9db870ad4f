"""A MariaDB and its replica."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.mariadb import MariaDB, Programs, find_programs
from tests.support.tools import missing


class Replicated(MariaDB):
    """A server with a number, which writes a log for replicas where it is the first."""

    def __init__(self, directory: Path, programs: Programs, number: int) -> None:
        super().__init__(directory, programs, durable=False)
        self._number = number

    def command(self) -> list[str]:
        """As MariaDB, with what replication needs."""
        words = [word for word in super().command() if word != "--skip-log-bin"]
        return [
            *words,
            f"--server-id={self._number}",
            "--log-bin=changes",
            "--binlog-format=ROW",
            "--general-log",
            "--log-output=TABLE",
        ]

    def follow(self, primary: MariaDB) -> None:
        """Become a replica, by GTID."""
        password = self.password.replace("'", "''")
        self.execute(
            f"CHANGE MASTER TO MASTER_HOST='{primary.host}', MASTER_PORT={primary.port},"
            f" MASTER_USER='{self.user}', MASTER_PASSWORD='{password}',"
            " MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos; START SLAVE"
        )

    def pages_read(self) -> int:
        """How many pages of messages were read here."""
        sql = (
            "SELECT COUNT(*) FROM mysql.general_log WHERE command_type IN ('Query', 'Execute')"
            " AND argument LIKE '%FROM messages%' AND argument NOT LIKE '%general_log%'"
        )
        return int(self.execute(sql)[0][0])


class Pair(NamedTuple):
    """Two servers with the same data."""

    primary: Replicated
    replica: Replicated


@contextmanager
def replicated_pair() -> Iterator[Pair]:
    """A running pair, ended on the way out; skips where there is no MariaDB."""
    programs = find_programs()
    if programs.installer is None:
        missing("the tests' replicas are MariaDB's")
    with tempfile.TemporaryDirectory(prefix="parley-replicas-") as home:
        servers = []
        try:
            for number in (1, 2):
                directory = Path(home) / f"s{number}"
                directory.mkdir()
                servers.append(Replicated(directory, programs, number))
                servers[-1].install()
                servers[-1].start()
            pair = Pair(*servers)
            pair.replica.execute("RESET MASTER")
            pair.replica.follow(pair.primary)
            yield pair
        finally:
            for server in servers:
                server.kill()
