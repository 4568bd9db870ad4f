"""`main.py` as an operator runs it: in an empty directory, with a clean environment."""

import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from commands.check import look
from settings import Settings
from tests.support.ports import free_port
from tests.support.tools import AS_INSTALLED

MAIN = Path(__file__).parent.parent.parent / "main.py"


class Checked(NamedTuple):
    """What `check` found."""

    findings: list[dict[str, str]]

    @property
    def printed(self) -> str:
        """All of it, as text."""
        return str(self.findings)

    def wrong(self, part: str) -> list[str]:
        """Return what is wrong with a part, each with its remedy."""
        return self.of(part, "wrong")

    def of(self, part: str, state: str) -> list[str]:
        """Return what is so of a part."""
        return [
            f"{found['said']} → {found['remedy']}"
            for found in self.findings
            if (found["part"], found["state"]) == (part, state)
        ]


def environment(directory: Path, **settings: str) -> dict[str, str]:
    """Return a clean one, with a port that is free and data in the directory."""
    ours = {name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    quick = {"HOST": "127.0.0.1", "PORT": str(free_port()), "DATA_DIR": str(directory / "data")}
    return {**kept, **AS_INSTALLED, "BCRYPT_ROUNDS": "4", **quick, **settings}


def run(directory: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line to its end."""
    return subprocess.run(
        [sys.executable, str(MAIN), *words],
        cwd=directory,
        env=environment(directory, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def check(directory: Path, **settings: str) -> Checked:
    """Look at all parts, as `check --json` does, in this process: a start takes a second."""
    with (
        chdir(directory),
        patch.dict(os.environ, environment(directory, **settings), clear=True),
    ):
        return Checked(look())
