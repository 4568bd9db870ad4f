"""Parley as its wheel installs it: an environment without the tests and without this directory."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.faults.processes import Parley
from tests.support.tools import missing

ROOT = Path(__file__).resolve().parents[2]
BUILD_SECONDS = 60
# The first time, the packages may have to be downloaded.
INSTALL_SECONDS = 100


def build_wheel(directory: Path) -> Path:
    """Build the wheel of this directory, by the hatchling of the tests' own packages."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    _run(command, BUILD_SECONDS)
    [wheel] = directory.glob("*.whl")
    return wheel


def names_in(wheel: Path) -> set[str]:
    """The files that the wheel holds."""
    with zipfile.ZipFile(wheel) as archive:
        return {*archive.namelist()}


def install(wheel: Path, environment: Path) -> Path:
    """Install the wheel, with what it depends on, into a new environment; return its `parley`."""
    uv = [sys.executable, "-m", "uv", "--quiet", "--no-progress"]
    _run([*uv, "venv", "--python", sys.executable, str(environment)], BUILD_SECONDS)
    python = ["--python", str(environment / "bin" / "python")]
    constraints = ["--constraint", str(ROOT / "requirements.lock")]
    try:
        _run([*uv, "pip", "install", *python, *constraints, str(wheel)], INSTALL_SECONDS)
    except AssertionError as error:
        if "error sending request" in str(error) or "dns error" in str(error):
            missing(f"the packages cannot be downloaded: {error}")
        raise
    _run([*uv, "pip", "check", *python], BUILD_SECONDS)
    return environment / "bin" / "parley"


class Installed(Parley):
    """An instance that is started by the `parley` command."""

    def __init__(self, directory: Path, program: Path, **settings: object) -> None:
        super().__init__(directory, **settings)
        self._program = program

    def command(self) -> list[str]:
        """The installed command line."""
        words = ["serve", "--host", self.host, "--port", str(self.port)]
        return [str(self._program), *words, "--workers", str(self.workers)]

    @property
    def ws_url(self) -> str:
        """The GraphQL WebSocket's URL."""
        return f"ws://{self.host}:{self.port}/graphql"

    def environment(self) -> dict[str, str]:
        """As for other instances, but with nothing of the tests on the path."""
        return {
            name: value for name, value in super().environment().items() if name != "PYTHONPATH"
        }


def _run(command: list[str], seconds: int) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
