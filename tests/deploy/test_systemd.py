"""The units in deploy/: systemd reads them without a complaint and calls them well contained."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.installed import ROOT
from tests.support.tools import require

SERVICE, SOCKET = (ROOT / "deploy" / name for name in ("parley.service", "parley.socket"))
# systemd's own measure, from 0 (contained) to 10 (unsafe).
MOST_EXPOSED = 1.6


def _analyze(*words: str) -> subprocess.CompletedProcess[str]:
    program = require("systemd", "systemd-analyze")
    return subprocess.run(
        [program, *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_units_are_read_without_a_complaint(tmp_path: Path) -> None:
    # What is to be installed is not there: any program stands for it.
    for unit in (SERVICE, SOCKET):
        text = re.sub("^ExecStart=[^ ]+", "ExecStart=/bin/true", unit.read_text(), flags=re.M)
        (tmp_path / unit.name).write_text(text)
    done = _analyze("verify", str(tmp_path / SERVICE.name), str(tmp_path / SOCKET.name))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_service_is_contained() -> None:
    told = _analyze("security", "--offline=true", str(SERVICE)).stdout
    level = re.search(r"Overall exposure level .*: ([\d.]+)", told)
    assert level is not None, told
    assert float(level[1]) <= MOST_EXPOSED


@pytest.mark.parametrize("call", ["seccomp", "landlock_restrict_self", "capset", "prlimit64"])
def test_the_service_may_shut_its_own_processes_in(call: str) -> None:
    filters = re.findall(r"^SystemCallFilter=(?!~)(.*)", SERVICE.read_text(), re.MULTILINE)
    assert call in " ".join(filters).split()
