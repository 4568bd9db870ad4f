"""A throw-away MariaDB Galera cluster of three nodes."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from glob import glob
from pathlib import Path

from tests.support.mariadb import MariaDB, Programs, find_programs
from tests.support.ports import free_port
from tests.support.tools import missing

NODES = 3
PROVIDERS = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib*/galera*/libgalera_smm.so")
_NOT_COPIED = shutil.ignore_patterns("galera.cache")
# HAProxy asks a node for its state as this user, who may do nothing else.
CHECKS = "CREATE USER haproxy@'127.0.0.1' IDENTIFIED VIA mysql_native_password USING ''"
# How long a node may be silent before the others go on without it: 5 s as Galera comes. It is the
# greater part of a failover. A busy machine of tests makes it no smaller than this.
SUSPECT_SECONDS = 2
RECOVER_SECONDS = 30
_POSITION = re.compile(r"Recovered position:? *([0-9a-f-]{36}:\d+)")


class GaleraNode(MariaDB):
    """One node. The first start of the first node begins the cluster."""

    def __init__(self, directory: Path, programs: Programs, provider: Path, name: str) -> None:
        super().__init__(directory, programs, durable=False)
        self.name = name
        self._provider = provider
        self._ports = {use: free_port(self.host) for use in ("group", "ist", "sst")}
        self.members: list[GaleraNode] = []
        self._begins = False
        self._position = ""

    @property
    def group_address(self) -> str:
        """Where the other nodes reach it."""
        return f"{self.host}:{self._ports['group']}"

    def begin(self) -> None:
        """Start as the first node of a new cluster."""
        self._begins = True
        try:
            self.start()
        finally:
            self._begins = False

    def restart(self) -> None:
        """Start after a kill -9: the node gets what it missed from another one."""
        self._position = self._recover()
        self.start()

    def answers(self) -> bool:
        """Whether the node takes statements and has all that the others have."""
        try:
            state = "SHOW STATUS LIKE 'wsrep_local_state_comment'"
            return super().answers() and self.execute(state)[0][1] == "Synced"
        except RuntimeError:
            return False

    def command(self) -> list[str]:
        """The server as a node of the cluster."""
        addresses = ",".join(node.group_address for node in self.members)
        seconds = SUSPECT_SECONDS
        options = (
            f"gmcast.listen_addr=tcp://{self.group_address}",
            f"ist.recv_addr={self.host}:{self._ports['ist']}",
            "gcache.size=64M",
            "evs.keepalive_period=PT0.5S",
            "evs.inactive_check_period=PT0.5S",
            f"evs.suspect_timeout=PT{seconds}S",
            f"evs.inactive_timeout=PT{2 * seconds}S",
            f"evs.install_timeout=PT{2 * seconds}S",
        )
        words = [
            *self._without_cluster(),
            "--wsrep-on=ON",
            f"--wsrep-provider={self._provider}",
            f"--wsrep-cluster-address=gcomm://{addresses}",
            "--wsrep-cluster-name=parley",
            f"--wsrep-node-name={self.name}",
            f"--wsrep-node-address={self.group_address}",
            f"--wsrep-provider-options={';'.join(options)}",
            "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address={self.host}:{self._ports['sst']}",
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
        ]
        if self._begins:
            words.append("--wsrep-new-cluster")
        if self._position:
            words.append(f"--wsrep-start-position={self._position}")
        return words

    def _without_cluster(self) -> list[str]:
        # The users are made once, on the node that begins.
        words = super().command()
        return [word for word in words if self._begins or not word.startswith("--init-file")]

    def _recover(self) -> str:
        """Return the last change that the node's own files have, as galera_recovery finds it."""
        done = subprocess.run(
            [*self.command(), "--wsrep-recover"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=self.directory,
            timeout=RECOVER_SECONDS,
            check=False,
        )
        found = _POSITION.findall(done.stdout + done.stderr)
        if not found:
            raise RuntimeError(f"{self} tells no position:\n{done.stderr[-2000:]}")
        return str(found[-1])


class Galera:
    """Three nodes."""

    def __init__(self, nodes: list[GaleraNode]) -> None:
        self.nodes = nodes

    def node(self, name: str) -> GaleraNode:
        """The node of this name."""
        [found] = [node for node in self.nodes if node.name == name]
        return found


def find_provider() -> Path:
    """Galera's library; skips where it is missing."""
    for pattern in PROVIDERS:
        for path in glob(pattern):
            return Path(path)
    return missing(f"Galera is not installed: no {PROVIDERS[0]}")


@contextmanager
def galera_cluster() -> Iterator[Galera]:
    """A running cluster, ended on the way out; skips where a program is missing."""
    provider, programs = find_provider(), find_programs()
    if programs.installer is None:
        missing("Galera needs MariaDB")
    with tempfile.TemporaryDirectory(prefix="parley-galera-") as home, ExitStack() as stack:
        nodes = []
        # As root, the program with which nodes hand over what is missing works as nobody.
        Path(home).chmod(0o755)
        for number in range(NODES):
            directory = Path(home) / f"n{number}"
            directory.mkdir()
            nodes.append(GaleraNode(directory, programs, provider, f"n{number}"))
            stack.callback(nodes[-1].kill)
        for node in nodes:
            node.members = nodes
        _fill(nodes)
        with ThreadPoolExecutor(len(nodes)) as pool:
            for started in [pool.submit(node.start) for node in nodes[1:]]:
                started.result()
        yield Galera(nodes)


def _fill(nodes: list[GaleraNode]) -> None:
    """Give each node the same data, so that none has to copy another's."""
    first, *others = nodes
    first.install()
    first.begin()
    first.execute(CHECKS)
    first.stop()
    (first.directory / "data").chmod(0o777)
    for node in others:
        data = node.directory / "data"
        shutil.copytree(first.directory / "data", data, ignore=_NOT_COPIED)
    first.begin()
