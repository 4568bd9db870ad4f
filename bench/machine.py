"""What a run's numbers are of: the machine and the versions."""

import os
import platform
import re
import resource
import subprocess
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.servers.packages import PEERS, node_with_packages
from tests.support.mariadb import find_programs

OF_PARLEY = ("strawberry-graphql", "uvicorn", "python-socketio", "sqlalchemy", "asyncmy")
OF_PEERS = ("graphql-yoga", "graphql-ws", "ws", "express", "socket.io", "mysql2")


def describe_machine() -> dict[str, str]:
    """The processor, and the versions of what was measured."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    processor = found.group(1) if found else platform.machine()
    lock = msgspec.json.decode((PEERS / "package-lock.json").read_bytes())["packages"]
    versions = [
        f"Python {platform.python_version()}",
        *(f"{name} {version(name)}" for name in OF_PARLEY),
        f"Node {_ask(str(node_with_packages()), '--version').removeprefix('v')}",
        *(f"{name} {lock[f'node_modules/{name}']['version']}" for name in OF_PEERS),
        re.sub(r".*Ver (\S+?)-MariaDB.*", r"MariaDB \1", _ask(str(find_programs().server), "-V")),
    ]
    return {
        "machine": f"{os.cpu_count()} × {processor}, {memory:.0f} GiB, Linux {platform.release()}",
        "versions": ", ".join(versions),
    }


def raise_file_limit() -> None:
    """Let this process and its servers open as many connections as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _ask(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    return done.stdout.strip()
