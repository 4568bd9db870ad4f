"""Code that runs in a worker reaches its own file, and nothing else; nobody reads the server."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from media import containment, inspector
from media.facts import Facts, FileKind
from media.inspector import Inspector
from tests.media.conftest import look_at
from tests.support.ports import free_port

ROOT = Path(__file__).parent.parent.parent
SECRET = "the secret of the server"

linux = pytest.mark.skipif(sys.platform != "linux", reason="macOS has neither of them")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "parley.db"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


async def _attempts(
    monkeypatch: pytest.MonkeyPatch, store: Path, how: str = "with all"
) -> dict[str, str]:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    program = ("-m", "tests.media.attempts", str(os.getpid()), str(store), how)
    monkeypatch.setattr(inspector, "PROGRAM", program)
    looked = await look_at(Inspector(workers=1, memory_bytes=1024**3, seconds=60), b"its own")
    assert looked.facts == Facts(FileKind.FILE)
    ended = json.loads(looked.thumbnail)
    assert isinstance(ended, dict)
    return ended


@linux
async def test_code_in_a_worker_reaches_its_own_file_alone(
    monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    ended = await _attempts(monkeypatch, store)
    assert ended.pop("own file") == "its own"
    assert "SECRET" not in ended.pop("environment")
    assert {name: how for name, how in ended.items() if how != "EPERM"} == {}
    assert await asyncio.to_thread(store.read_text) == SECRET


@linux
async def test_landlock_alone_keeps_files_and_the_network_away(
    monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    if "Landlock" in containment.missing_containment():
        pytest.skip("this kernel has no Landlock")
    ended = await _attempts(monkeypatch, store, "without seccomp")
    for name in (
        *("read a file", "read the system's users", "write a file", "remove a file"),
        *("list a directory", "read the server's memory as a file", "start a program"),
        "become a program",
    ):
        assert ended[name] in {"EACCES", "EMFILE", "EPERM", "EAGAIN"}, name
    assert await asyncio.to_thread(store.read_text) == SECRET


@linux
def test_this_system_holds_workers() -> None:
    assert "seccomp" not in containment.missing_containment()


def test_a_system_that_lacks_it_is_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("media.containment.sys.platform", "darwin")
    assert not containment.hide_memory()
    Inspector(workers=1, memory_bytes=1024**3, seconds=60)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no seccomp and no Landlock" in caplog.text


# Another process of the same user, without root's powers: may it read a process's memory?
READS = """
import sys
from media import containment
containment._drop_capabilities()
for name in ("mem", "environ"):
    try:
        open(f"/proc/{sys.argv[1]}/{name}", "rb").read(0)
        print("read")
    except OSError as error:
        print(type(error).__name__)
"""
# Those of a process with more powers than one's own are never read: it has to be without, too.
POWERLESS = "import sys; from media import containment; containment._drop_capabilities(); "
SERVES = f"{POWERLESS} import main; main.main(sys.argv[1:])"
WAITS = f"{POWERLESS} print(flush=True); input()"


def _read_by_another(process: int) -> list[str]:
    found = subprocess.run(
        [sys.executable, "-c", READS, str(process)], capture_output=True, cwd=ROOT, check=True
    )
    return found.stdout.decode().split()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[int]:
    """The id of a server that answers."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "HOST": "127.0.0.1"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore:'crypt'", "-c", SERVES, "serve", f"--port={port}"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


@linux
def test_the_memory_of_a_server_is_read_by_nobody_of_its_user(served: int) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert other.stdout is not None
    try:
        other.stdout.readline()  # it has come so far
        assert _read_by_another(other.pid) == ["read", "read"]  # as it is without
        assert _read_by_another(served) == ["PermissionError", "PermissionError"]
    finally:
        other.communicate(b"\n")
