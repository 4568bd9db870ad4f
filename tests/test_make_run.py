"""`make run` on a machine that lacks something: it says what, and works once that is there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tools import require

ROOT = Path(__file__).parent.parent


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the Makefile, and no packages to be installed."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.lock").write_text("# none\n")
    return tmp_path


def make(place: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make as a person does, up to where the packages are installed."""
    return subprocess.run(
        [str(require("make")), ".venv/.runtime", *words],
        cwd=place,
        env={"PATH": os.environ["PATH"], "HOME": str(place), **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_without_python3_venv_make_says_what_to_install_and_works_after_it(place: Path) -> None:
    # As Debian has it without the package: venv is there, and what it installs pip with is not.
    (place / "absent" / "ensurepip").mkdir(parents=True)
    (place / "absent" / "ensurepip" / "__init__.py").write_text("raise ModuleNotFoundError\n")
    python = f"PYTHON={sys.executable}"
    failed = make(place, python, PYTHONPATH=str(place / "absent"))
    assert failed.returncode != 0
    assert "sudo apt install python3-venv" in failed.stderr
    assert "Traceback" not in failed.stderr
    # What the first attempt of an older Makefile, or of a person, has left behind.
    words = [sys.executable, "-m", "venv", "--without-pip", str(place / ".venv")]
    subprocess.run(words, check=True, timeout=60)
    done = make(place, python)
    assert done.returncode == 0, done.stderr
    assert (place / ".venv" / ".runtime").exists()
    assert "up to date" in make(place, python).stdout


def test_without_python_make_says_so(place: Path) -> None:
    failed = make(place, "PYTHON=python3-nowhere")
    assert failed.returncode != 0
    assert "There is no python3-nowhere" in failed.stderr
