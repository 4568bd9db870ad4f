"""HAProxy in front of a Galera cluster, as deploy/haproxy-galera.cfg has it."""

import re
import subprocess
from pathlib import Path
from time import monotonic, sleep

from tests.support.clusters.galera import Galera, GaleraNode
from tests.support.daemon import Daemon
from tests.support.tools import require

# A node that has just come back, or has lost the others for a moment, is led to after two checks.
WRITER_SECONDS = 30
CONFIGURATION = Path(__file__).resolve().parents[3] / "deploy" / "haproxy-galera.cfg"


class GaleraProxy(Daemon):
    """The configuration as it stands, but for its addresses."""

    def __init__(self, directory: Path, cluster: Galera) -> None:
        super().__init__(directory)
        self._program = require("HAProxy", "haproxy")
        self._cluster = cluster
        text = CONFIGURATION.read_text().replace("127.0.0.1:3307", f"{self.host}:{self.port}")
        for node in cluster.nodes:
            line = re.compile(rf"^( +server {node.name}) \S+", re.MULTILINE)
            text, count = line.subn(rf"\1 {node.host}:{node.port}", text)
            assert count == 1, f"{node.name} is there {count} times"
        self.configuration = directory / "haproxy.cfg"
        self.configuration.write_text(text)

    def check(self) -> str:
        """What HAProxy says of the configuration: nothing but that it is valid."""
        command = [str(self._program), "-c", "-f", str(self.configuration)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def command(self) -> list[str]:
        """HAProxy in the foreground."""
        return [str(self._program), "-db", "-f", str(self.configuration)]

    def answers(self) -> bool:
        """Whether a node answers through it."""
        try:
            return bool(self._writer())
        except RuntimeError:
            return False

    def writer(self) -> GaleraNode:
        """The node that new connections are led to, as soon as there is one."""
        deadline = monotonic() + WRITER_SECONDS
        while True:
            try:
                return self._writer()
            except RuntimeError:
                if monotonic() > deadline:
                    raise
            sleep(0.1)

    def _writer(self) -> GaleraNode:
        first = self._cluster.nodes[0]
        [[name]] = first.execute("SELECT @@wsrep_node_name", at=self.port)
        return self._cluster.node(name)

    def url(self, database: str) -> str:
        """The address as DATABASE_URL wants it."""
        first = self._cluster.nodes[0]
        return first.url(database).replace(f":{first.port}/", f":{self.port}/")
