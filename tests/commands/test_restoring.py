"""`main.py restore`: what it refuses before it touches anything, and what a kill leaves."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from commands.backups import restoring
from commands.backups.contents import opened
from commands.backups.unfinished import check_finished
from settings import Settings
from tests.commands.backing_up import (
    ask,
    history,
    manifest_of,
    run_backup,
    run_restore,
    send,
    upload,
)
from tests.support.faces import Account, new_account
from tests.support.server import make_settings, running_server
from tests.support.tools import AS_INSTALLED

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Account]:
    """A backup with a message that carries a file, and who has received it."""
    directory = tmp_path_factory.mktemp("made")
    with running_server(directory / "data", jwt_secret=None) as server:
        ann, ben = await new_account(server, "Ann"), await new_account(server, "Ben")
        file = await upload(server, ann, "notes.txt", b"notes " * 100)
        await send(server, ann, "kept", toUserId=ben.id, attachmentId=file)
        await run_backup(server.settings, directory / "backup")
    return directory / "backup", ben


@pytest.fixture
def backup(made: tuple[Path, Account], tmp_path: Path) -> Path:
    """A copy of that backup, to be spoiled."""
    return Path(shutil.copytree(made[0], tmp_path / "backup"))


def manifest_with(**fields: object) -> Callable[[Path], None]:
    """Return what changes fields of a backup's manifest."""

    def change(backup: Path) -> None:
        path = backup / "manifest.json"
        path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | fields))

    return change


def append(name: str) -> Callable[[Path], None]:
    """Return what changes a file of a backup."""

    def change(backup: Path) -> None:
        [path] = backup.glob(name)
        path.write_bytes(path.read_bytes() + b"x")

    return change


def with_a_name(name: str) -> Callable[[Path], None]:
    """Return what adds a name to a backup's sums, signed with the right sum."""

    def change(backup: Path) -> None:
        sums = backup / "SHA256SUMS"
        sums.write_text(sums.read_text() + f"{'0' * 64}  {name}\n")
        sum_ = subprocess.run(["sha256sum", sums], capture_output=True, text=True, check=True)
        manifest_with(sums_sha256=sum_.stdout.split()[0])(backup)

    return change


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda backup: (backup / "manifest.json").unlink(), "did not come to its end"),
        (lambda backup: (backup / "manifest.json").write_text("["), "cannot be read"),
        (lambda backup: (backup / "manifest.json").write_text("[]"), "is not of a backup"),
        (lambda backup: (backup / "SHA256SUMS").unlink(), "has no SHA256SUMS"),
        (manifest_with(format="other"), "is not of a backup"),
        (manifest_with(version=2), r"of the form 2; this Parley reads 1"),
        (manifest_with(position="1"), "cannot be read"),
        (manifest_with(schema="9999", parley="9.0"), r"of a newer Parley: 9\.0, .* 9999"),
        (manifest_with(engine="mysql"), "made with mysql, and these settings"),
        (manifest_with(bytes=2**60), "bytes of free space; the backup takes"),
        (append("SHA256SUMS"), "SHA256SUMS is not as it was written"),
        (append("parley.db"), "parley.db is not as it was written"),
        (append("files/*/*"), r"files/.*/.* is not as it was written"),
        (append("jwt_secret"), "jwt_secret is not as it was written"),
        (lambda backup: shutil.rmtree(backup / "files"), "lacks files/"),
        (with_a_name("../../outside"), "names a file that no backup has"),
        (with_a_name("files/aa/../../outside"), "names a file that no backup has"),
        (with_a_name("/etc/passwd"), "names a file that no backup has"),
    ],
)
async def test_a_backup_that_is_not_whole_replaces_nothing(
    backup: Path, tmp_path: Path, spoil: Callable[[Path], Any], said: str
) -> None:
    spoil(backup)
    settings = make_settings(tmp_path / "data", jwt_secret=None)
    settings.data_dir.mkdir(mode=0o700)
    (settings.data_dir / "parley.db").write_text("what is there")
    with pytest.raises(SystemExit, match=f"Nothing was restored: .*{said}"):
        await run_restore(settings, "--from", backup, "--force")
    assert (settings.data_dir / "parley.db").read_text() == "what is there"
    left = {path.name for path in settings.data_dir.rglob("*") if path.is_file()}
    assert left <= {"parley.db", "parley.db.server"}
    assert not (tmp_path / "outside").exists()


async def test_no_backup_at_all_is_said(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    with pytest.raises(SystemExit, match=r"nowhere is no directory"):
        await run_restore(settings, "--from", tmp_path / "nowhere")
    with pytest.raises(SystemExit, match=r"There is no database at .*parley\.db"):
        await run_restore(settings, "--epoch")
    assert not (tmp_path / "data" / "parley.db").exists()


async def test_on_an_empty_machine_everything_is_as_it_was(
    made: tuple[Path, Account], tmp_path: Path
) -> None:
    """Tokens too: the secret that was made for the server comes with the backup."""
    backup, ben = made
    settings = make_settings(tmp_path / "data", jwt_secret=None)
    await run_restore(settings, "--from", backup)
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "data").rglob("*")}
    assert modes == {0}
    with running_server(tmp_path / "data", jwt_secret=None) as server:
        [message] = await history(server, ben)
        assert message["content"] == "kept"
        assert await send(server, ben, "new") > 1_000_000
        unread = await ask(server, ben, "{ conversations { nodes { unreadCount } } }")
        counts = sorted(node["unreadCount"] for node in unread["conversations"]["nodes"])
        assert counts == [0, 1]


async def test_a_secret_that_is_set_stays(made: tuple[Path, Account], tmp_path: Path) -> None:
    await run_restore(make_settings(tmp_path / "data"), "--from", made[0])
    assert not (tmp_path / "data" / "jwt_secret").exists()


async def test_a_restore_that_was_killed_keeps_every_command_out_until_it_is_run_again(
    made: tuple[Path, Account], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, ben = made
    with running_server(tmp_path / "data", jwt_secret=None) as server:
        settings = server.settings
        zed = await new_account(server, "Zed")
        file = await upload(server, zed, "zed.txt", b"zed " * 100)
        await send(server, zed, "replaced", attachmentId=file)

    class Killed(BaseException):
        pass

    def killed(self: object, store: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(restoring.Restoring, "_put_files", killed)
        with pytest.raises(Killed):
            await run_restore(settings, "--from", backup, "--force")
    again = f"Run it again: python main.py restore --from {backup}"
    done = run_main(settings, "serve")
    assert (done.returncode, again in done.stderr) == (1, True), done.stderr
    with pytest.raises(SystemExit, match=again):
        await run_restore(settings, "--epoch")
    await run_restore(settings, "--from", backup)
    check_finished(settings)
    with running_server(tmp_path / "data", jwt_secret=None) as server:
        assert [message["content"] for message in await history(server, ben)] == ["kept"]
    [kept] = [path for path in settings.data_dir.glob("files/*/*") if path.is_file()]
    assert kept.read_bytes() == b"notes " * 100
    assert {entry.name for entry in settings.data_dir.glob("files/.*")} == set()


def run_main(settings: Settings, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a process of its own."""
    return subprocess.run(
        command(*words),
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def command(*words: str) -> list[str]:
    """Return the command line of a command."""
    return [sys.executable, "-W", "ignore:'crypt'", str(ROOT / "main.py"), *words]


def environment(settings: Settings) -> dict[str, str]:
    """Return an environment with the tests' settings, from a directory without a `.env`."""
    ours = {name.upper() for name in Settings.model_fields}
    clean = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    told = {"DATA_DIR": str(settings.data_dir), "HOST": "127.0.0.1", "PORT": "0"}
    return {**clean, **AS_INSTALLED, **told}


async def test_a_backup_that_was_killed_is_none(made: tuple[Path, Account], tmp_path: Path) -> None:
    """Killed with SIGKILL while it copies: what it leaves is refused."""
    settings = make_settings(tmp_path / "data", jwt_secret=None)
    await run_restore(settings, "--from", made[0])
    # So many files that the copy takes a while.
    with opened(settings.data_dir / "parley.db", writes=True) as connection:
        for number in range(3000):
            connection.exec_driver_sql(
                "INSERT INTO files (name, sha256, size, media_type, created_at)"
                f" VALUES ('aa/{number}', '{number}', 3, 'text/plain', '2026-01-01')"
            )
    store = settings.data_dir / "files" / "aa"
    store.mkdir(exist_ok=True)
    for number in range(3000):
        (store / str(number)).write_bytes(b"abc")
    target = tmp_path / "killed"
    await asyncio.to_thread(back_up_and_kill, settings, target)
    assert not (target / "manifest.json").exists()
    with pytest.raises(SystemExit, match="did not come to its end"):
        await run_restore(settings, "--from", target, "--force")
    done = run_main(settings, "backup", "--to", str(tmp_path / "whole"))
    assert done.returncode == 0, done.stderr
    assert manifest_of(tmp_path / "whole")["files"] == 3003


def back_up_and_kill(settings: Settings, target: Path) -> None:
    """Begin a backup, and end it once it copies files."""
    process = subprocess.Popen(
        command("backup", "--to", str(target)),
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 30
    while not (target / "files" / "aa").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
