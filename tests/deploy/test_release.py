"""What belongs to a release: its version everywhere, its section of the changelog, its SBOM."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec

from settings import VERSION
from tests.deploy.installed import ROOT


def test_the_changelog_has_a_section_for_the_version() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(VERSION)} \(\d{{4}}-\d\d-\d\d\)", sections[1])


def test_the_sbom_names_what_the_lock_pins_with_its_digests(tmp_path: Path) -> None:
    [line] = re.findall(r"-m (cyclonedx_py .+?\\\n.+?) -o ", (ROOT / "Makefile").read_text())
    printed = tmp_path / "sbom.json"
    words = [*line.replace("\\\n", " ").split(), "-o", str(printed), "requirements.lock"]
    command = [sys.executable, "-W", "ignore", "-m", *words]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    sbom = msgspec.json.decode(printed.read_bytes())
    assert (sbom["bomFormat"], sbom["metadata"]["component"]["version"]) == ("CycloneDX", VERSION)
    lock = (ROOT / "requirements.lock").read_text()
    pinned = dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]+\])?==([^ ;\\]+)", lock, re.MULTILINE))
    found = {one["name"]: one["version"] for one in sbom["components"]}
    assert found == pinned
    assert all(one["externalReferences"][0]["hashes"] for one in sbom["components"])
    direct = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {re.split(r"[\[><=; ]", one)[0] for one in direct} <= {*found}
