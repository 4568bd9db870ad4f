"""docs/operate/troubleshoot.md: each command on it is run, beside a server."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.status_lines import lines_of
from server.processes.status_socket import Answer
from tests.commands.checked import MAIN, environment
from tests.support.server import RunningServer, running_server
from tests.support.tools import require

PAGE = MAIN.parent / "docs" / "operate" / "troubleshoot.md"
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for line in block.splitlines()
]
SAID = {
    "python main.py check": "wrong.",
    "python main.py status": "followed to",
    "python main.py check --json": '"findings"',
    "python main.py status --users": "followed to",
    "python main.py status --json": '"troubles":[]',
    "curl -s localhost:3000/health": '"ok":true',
    "curl -s localhost:3000/ready": '"ok":true',
    "curl -s localhost:3000/api/limits": "{",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that the commands look at."""
    with running_server(tmp_path_factory.mktemp("trouble"), search="on") as running:
        yield running


def test_every_command_of_the_page_is_known_here() -> None:
    assert {*COMMANDS} == {*SAID}


@pytest.mark.parametrize("command", SAID)
def test_the_command_works_as_it_stands(
    command: str, server: RunningServer, tmp_path: Path
) -> None:
    words = command.replace("localhost:3000", f"127.0.0.1:{server.settings.port}").split()
    if words[0] == "python":
        words = [sys.executable, str(MAIN), *words[2:]]
    else:
        words[0] = str(require("curl"))
    settings = {"DATA_DIR": str(server.settings.data_dir), "PORT": str(server.settings.port)}
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env=environment(tmp_path, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert SAID[command].replace(" ", "") in done.stdout.replace(" ", "")
    if command.endswith("check"):
        # The port is in use, and by this very server.
        assert f"port {server.settings.port} is served by this machine's Parley" in done.stdout
        assert done.stdout.endswith("Nothing is wrong.\n")


def test_the_page_names_every_row_of_the_status(server: RunningServer) -> None:
    files = {"openFiles": 9, "mostOpenFiles": 99, "loopLateMs": 0.0, "memoryBytes": 1}
    process = {"process": os.getpid(), "upSeconds": 1.0, "cpuSeconds": 1.0, **files}
    supervisor = {**process, "version": "1", "workers": [], "parent": 1}
    [line] = lines_of([Answer(os.getpid(), supervisor)])
    assert "supervisor" in line
    page = PAGE.read_text()
    for row in ("connected", "log", "queues", "database", "redis", "search"):
        assert re.search(rf"^\| `{row}", page, re.MULTILINE), row
