"""A throw-away MariaDB (or MySQL 8) server, as it comes without a distribution's settings."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from tests.support.daemon import Daemon
from tests.support.tools import missing, require

USER = "parley_test"
PASSWORD = "p@ss:word/with?marks"  # the marks catch URLs put together without quoting
CLIENT_SECONDS = 30.0
INSTALL_SECONDS = 120.0


class Programs(NamedTuple):
    """What a throw-away server is made of."""

    server: Path
    client: Path
    installer: Path | None  # MySQL's server makes its own data directory


class MariaDB(Daemon):
    """One private server; its user may do everything, databases included.

    One that is not `durable` leaves it to the operating system when its files reach the disk. It
    survives a kill -9 like any other, not the end of the machine; its tables are made in a tenth
    of the time.
    """

    user = USER
    password = PASSWORD

    def __init__(self, directory: Path, programs: Programs, *, durable: bool = True) -> None:
        super().__init__(directory)
        self._programs = programs
        self._durable = durable
        self._data = directory / "data"
        self._pid_file = directory / "pid"
        self._first_statements = directory / "first.sql"

    @property
    def is_mariadb(self) -> bool:
        """Whether this is MariaDB rather than MySQL."""
        return self._programs.installer is not None

    def url(self, database: str) -> str:
        """The address as DATABASE_URL wants it."""
        password = quote(self.password, safe="")
        return f"mysql+asyncmy://{self.user}:{password}@{self.host}:{self.port}/{database}"

    def install(self) -> None:
        """Make the data directory."""
        create = f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n"
        grant = f"GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        self._first_statements.write_text(create + grant)
        if self._programs.installer:
            command = [str(self._programs.installer), "--no-defaults", "--skip-test-db"]
            command += ["--auth-root-authentication-method=normal"]
        else:
            command = [str(self._programs.server), "--no-defaults", "--initialize-insecure"]
        command += [f"--datadir={self._data}", *self._as_root(), *self._sizes(), *self._syncs()]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(
                f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )

    def command(self) -> list[str]:
        """The server with no option file read: its defaults are what a bare server gives."""
        return [
            str(self._programs.server),
            "--no-defaults",
            f"--datadir={self._data}",
            f"--socket={self.directory / 'socket'}",
            f"--pid-file={self._pid_file}",
            f"--init-file={self._first_statements}",
            f"--bind-address={self.host}",
            f"--port={self.port}",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--loose-mysqlx=OFF",
            # The trap of a server without Debian's configuration, whatever its version's default.
            "--character-set-server=latin1",
            "--collation-server=latin1_swedish_ci",
            # An acknowledged commit survives a kill -9, as in production.
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-dump-at-shutdown=OFF",
            "--innodb-buffer-pool-load-at-startup=OFF",
            "--performance-schema=OFF",
            "--max-connections=400",
            *self._syncs(),
            *self._sizes(),
            *self._as_root(),
        ]

    def answers(self) -> bool:
        """Whether its user can log in and ask, and it is this server that answers."""
        try:
            return self.execute("SELECT @@pid_file") == [[str(self._pid_file)]]
        except RuntimeError:
            return False

    def execute(self, sql: str, database: str = "", *, at: int | None = None) -> list[list[str]]:
        """Run statements through the server's own client: the rows, as text.

        `at` is the port of a proxy to go through.
        """
        command = [str(self._programs.client), "--no-defaults", "--protocol=tcp"]
        command += [f"--host={self.host}", f"--port={at or self.port}", f"--user={self.user}"]
        command += ["--connect-timeout=5", "--default-character-set=utf8mb4"]
        command += ["--batch", "--raw", "--skip-column-names", database]
        done = subprocess.run(
            [word for word in command if word],
            input=sql,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=CLIENT_SECONDS,
            env={**os.environ, "MYSQL_PWD": self.password},
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{self} refused {sql!r}: {done.stderr.strip()}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def _sizes(self) -> list[str]:
        # Small files and little memory, yet enough that a load test is not one long checkpoint.
        sizes = ["--innodb-buffer-pool-size=64M"]
        # A server empties its tmpdir of temporary tables when it starts: not of another server's.
        sizes.append(f"--tmpdir={self.directory}")
        return [*sizes, "--innodb-log-file-size=48M"] if self.is_mariadb else sizes

    def _syncs(self) -> list[str]:
        # InnoDB's files, and all the others: table definitions above all.
        return [] if self._durable else ["--innodb-flush-method=nosync", "--loose-debug-no-sync"]

    def _as_root(self) -> list[str]:
        # Servers refuse to run as root unless told; no other user can be told as anybody else.
        return ["--user=root"] if os.geteuid() == 0 else []


def find_programs() -> Programs:
    """The server, its client and its installer; skips where one of them is missing."""
    server = require("a MariaDB or MySQL server", "mariadbd", "mysqld")
    client = require("a MariaDB or MySQL client", "mariadb", "mysql")
    version = subprocess.run(
        [server, "--no-defaults", "--version"], capture_output=True, text=True, check=False
    ).stdout
    if not version:
        missing(f"{server} does not tell its version")
    if "MariaDB" not in version:
        return Programs(server, client, None)
    installer = require("MariaDB's installer", "mariadb-install-db", "mysql_install_db")
    return Programs(server, client, installer)


@contextmanager
def mariadb_server(*, durable: bool = False) -> Iterator[MariaDB]:
    """A running private server, ended on the way out; skips where there is none."""
    programs = find_programs()
    with tempfile.TemporaryDirectory(prefix="parley-mariadb-") as directory:
        server = MariaDB(Path(directory), programs, durable=durable)
        try:
            server.install()
            server.start()
            yield server
        finally:
            server.kill()
