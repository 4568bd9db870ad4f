"""web/client's generated and built files are those of its sources."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.tools import missing, require

CLIENT = Path(__file__).parent.parent.parent / "web" / "client"
SCHEMA = CLIENT.parent.parent / "schema" / "schema.graphql"
LARGEST_FILE = 400


def contents(directory: Path) -> dict[str, str]:
    """Every file below, by its hash."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client built anew, from the lock file's packages."""
    npm = require("npm")
    house = tmp_path_factory.mktemp("house")
    copy = house / "web" / "client"
    shutil.copytree(CLIENT, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (house / "schema").mkdir()
    shutil.copy(SCHEMA, house / "schema")
    (copy / "src" / "generated.ts").unlink()
    installed = CLIENT / "node_modules"
    if installed.is_dir():
        (copy / "node_modules").symlink_to(installed)
    else:
        words: list[str] = [
            str(npm),
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--omit=peer",
        ]
        done = subprocess.run(words, cwd=copy, capture_output=True, text=True, timeout=200)
        if done.returncode:
            missing(f"npm ci failed: {done.stderr.strip()[:500]}")
    for chore in ("codegen", "build"):
        words = [str(npm), "run", "--silent", chore]
        done = subprocess.run(words, cwd=copy, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stdout + done.stderr
    return copy


def test_the_generated_types_are_those_of_the_schema(rebuilt: Path) -> None:
    made = (rebuilt / "src" / "generated.ts").read_text()
    assert made == (CLIENT / "src" / "generated.ts").read_text(), "npm run codegen"


def test_the_built_files_are_those_of_the_sources(rebuilt: Path) -> None:
    assert contents(rebuilt / "dist") == contents(CLIENT / "dist"), "npm run build"


def test_the_built_files_import_nothing_of_others() -> None:
    for path in (CLIENT / "dist").glob("*.js"):
        lines = [line for line in path.read_text().splitlines() if " from " in line[:300]]
        imported = [line.split(" from ")[1].strip('";') for line in lines if "import" in line[:7]]
        foreign = {name for name in imported if not name.startswith("./")}
        assert foreign <= ({"react"} if path.name == "react.js" else set()), path


def test_no_file_is_too_large() -> None:
    sources = {path: len(path.read_text().splitlines()) for path in (CLIENT / "src").glob("*.ts")}
    assert [p.name for p, n in sources.items() if n > LARGEST_FILE] == ["generated.ts"]
