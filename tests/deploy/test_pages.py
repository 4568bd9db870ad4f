"""docs/operate/deploy.md and scale.md: each command is one that the tests run, on real files."""

import re
import shlex
import subprocess

import pytest

from tests.deploy.installed import ROOT

PAGES = ("deploy.md", "scale.md")
# A command, and the test that runs it, or what it names.
RUN_BY = {
    "make wheel": "tests/deploy/test_package.py",
    "/opt/parley/bin/pip install": "tests/deploy/test_package.py",
    "/opt/parley/bin/parley --version": "tests/deploy/test_package.py",
    "python3 -m venv /opt/parley": "tests/deploy/test_package.py",
    "systemd-analyze verify": "tests/deploy/test_systemd.py",
    "deploy/roll.sh": "tests/faults/test_rolling.py",
    "SITE=chat.example.com docker compose up": "tests/deploy/test_containers.py",
    # Programs of the system, which need it whole.
    "install": "",
    "printf": "",
    "mkdir": "",
    "systemctl": "",
}


def _lines(page: str) -> list[str]:
    text = (ROOT / "docs" / "operate" / page).read_text()
    blocks: list[str] = re.findall(r"```sh\n(.+?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("line", [line for page in PAGES for line in _lines(page)])
def test_a_command_is_run_by_a_test_and_names_what_is_there(line: str) -> None:
    places = [place for start, place in RUN_BY.items() if line.startswith(start)]
    assert places, "nothing runs it"
    assert (ROOT / places[0]).exists()
    subprocess.run(["sh", "-n", "-c", line], check=True)
    for word in shlex.split(line):
        if re.match(r"deploy/|\.env|requirements", word):
            assert (ROOT / word).exists(), word
    if line.startswith("make "):
        assert f"\n{line.split()[1]}:" in (ROOT / "Makefile").read_text()
