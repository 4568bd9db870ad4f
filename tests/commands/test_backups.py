"""`main.py backup` and `restore` on SQLite: a moment of the database, and the files it names."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commands.backups import contents, making
from commands.exports.folder import FolderUnusable
from db.engines.database import DatabaseUnsuitable
from db.engines.sole_server import sole_server
from tests.commands.backing_up import (
    ask,
    download,
    history,
    manifest_of,
    run_backup,
    run_restore,
    send,
    upload,
)
from tests.support.faces import Account, new_account
from tests.support.server import RunningServer, make_settings, running_server


async def a_message_with_a_file(server: RunningServer, sender: Account, to: Account) -> int:
    """Send a file; return the message's id."""
    content = f"notes of message {sender.id}".encode() * 100
    file = await upload(server, sender, "notes.txt", content)
    return await send(server, sender, "with a file", toUserId=to.id, attachmentId=file)


async def test_a_backup_beside_people_who_write_is_of_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages are copied one by one, and a message is stored between each two of them."""
    backup = tmp_path / "backup"
    written: list[int] = []
    with running_server(tmp_path / "data") as server:
        ann, ben = await new_account(server, "Ann"), await new_account(server, "Ben")
        await a_message_with_a_file(server, ann, ben)
        loop = asyncio.get_running_loop()

        class Slow(sqlite3.Connection):
            def backup(self, target: sqlite3.Connection, **options: Any) -> None:
                super().backup(target, progress=self.write, **options)

            def write(self, *progress: object) -> None:
                sending = send(server, ann, f"message {len(written)}", toUserId=ben.id)
                written.append(asyncio.run_coroutine_threadsafe(sending, loop).result(20))

        slow = partial(sqlite3.connect, factory=Slow)
        monkeypatch.setattr(contents, "sqlite3", SimpleNamespace(connect=slow))
        monkeypatch.setattr(contents, "PAGES", 1)
        await run_backup(server.settings, backup)
    assert len(written) > 20
    told = manifest_of(backup)
    with closing(sqlite3.connect(f"file:{backup}/parley.db?immutable=1", uri=True)) as copy:
        [problem] = copy.execute("PRAGMA integrity_check").fetchone()
        positions = [
            row[0]
            for row in copy.execute(
                "SELECT id FROM messages UNION SELECT position FROM log ORDER BY 1"
            )
        ]
        named = {row[0] for row in copy.execute("SELECT name FROM files WHERE sha256 IS NOT NULL")}
    assert problem == "ok"
    assert positions == [*range(1, told["position"] + 1)]
    assert told["position"] < written[0]
    assert {str(path.relative_to(backup / "files")) for path in backup.glob("files/*/*")} == named
    assert told["missing"] == []
    modes = {path.stat().st_mode & 0o077 for path in [backup, *backup.rglob("*")]}
    assert modes == {0}

    with running_server(tmp_path / "again") as other:
        pass  # its directory has a database already
    with pytest.raises(SystemExit, match="There is data already"):
        await run_restore(other.settings, "--from", backup)
    await run_restore(other.settings, "--from", backup, "--force")
    with running_server(tmp_path / "again") as other:
        found = await history(other, ben)
        assert {message["id"] for message in found} <= {*positions}
        [kept] = [message for message in found if message["attachment"]]
        assert await download(other, kept) == f"notes of message {ann.id}".encode() * 100


async def test_what_was_given_after_the_backup_never_names_something_else(tmp_path: Path) -> None:
    """Not a position, a user, a session's token, nor an attachment."""
    with running_server(tmp_path / "data") as server:
        settings = server.settings
        ann, ben = await new_account(server, "Ann"), await new_account(server, "Ben")
        kept = await send(server, ann, "kept", toUserId=ben.id)
        await run_backup(settings, tmp_path / "backup")
        lost = [await send(server, ann, "lost", toUserId=ben.id) for _ in range(3)]
        zed = await new_account(server, "Zed")
        file = await upload(server, ann, "lost.txt", b"lost" * 100)
        [before] = (await ask(server, ann, "{ serverInfo { epoch } }")).values()
    await run_restore(settings, "--from", tmp_path / "backup", "--force")
    with running_server(tmp_path / "data") as server:
        [after] = (await ask(server, ann, "{ serverInfo { epoch } }")).values()
        assert after["epoch"] != before["epoch"]
        assert [message["id"] for message in await history(server, ben)] == [kept]
        # The next who registers gets neither Zed's id nor, by Zed's token, Zed's login.
        yan = await new_account(server, "Yan")
        assert yan.id > zed.id
        with pytest.raises(AssertionError, match="Invalid token"):
            await history(server, zed)
        assert await upload(server, yan, "new.txt", b"new" * 100) > file
        # A bare id from before, as older clients keep it, yields all that is new.
        new = await send(server, yan, "new", toUserId=ben.id)
        assert new > lost[-1]
        query = "query($after: String!) { messages(after: $after) { nodes { id } } }"
        found = await ask(server, ben, query, after=str(lost[-1]))
        assert [node["id"] for node in found["messages"]["nodes"]] == [str(new)]
        names = await ask(server, ann, "{ users(first: 50) { nodes { displayName } } }")
        assert {node["displayName"] for node in names["users"]["nodes"]} == {"Ann", "Ben", "Yan"}


async def test_a_file_that_goes_during_the_backup_is_in_neither_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server(tmp_path / "data") as server:
        ann, ben = await new_account(server, "Ann"), await new_account(server, "Ben")
        message = await a_message_with_a_file(server, ann, ben)
        kept = await a_message_with_a_file(server, ben, ann)
        loop = asyncio.get_running_loop()
        copies: list[Path] = []

        def copy_then_delete(source: Path, target: Path) -> None:
            contents.copy_database(source, target)
            copies.append(target)
            if len(copies) == 1:
                deleting = ask(server, ann, f"mutation {{ deleteMessage(id: {message}) {{ id }} }}")
                asyncio.run_coroutine_threadsafe(deleting, loop).result(20)
                for file in _files_of(server.settings.data_dir):
                    # The server removes it in the background, perhaps a little later.
                    if b"of message %d" % ann.id in file.read_bytes():
                        file.unlink()

        monkeypatch.setattr(making, "copy_database", copy_then_delete)
        await run_backup(server.settings, tmp_path / "backup")
    assert len(copies) == 2
    told = manifest_of(tmp_path / "backup")
    assert told["missing"] == []
    [file] = _files_of(tmp_path / "backup")
    assert b"of message %d" % ben.id in file.read_bytes()
    assert kept


def _files_of(directory: Path) -> list[Path]:
    return [path for path in directory.glob("files/*/*") if path.is_file()]


async def test_a_file_that_the_store_had_lost_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_server(tmp_path / "data") as server:
        ann, ben = await new_account(server, "Ann"), await new_account(server, "Ben")
        await a_message_with_a_file(server, ann, ben)
        [file] = _files_of(server.settings.data_dir)
        file.unlink()
        await run_backup(server.settings, tmp_path / "backup")
    assert manifest_of(tmp_path / "backup")["missing"] == [f"{file.parent.name}/{file.name}"]
    assert "1 files were missing from the store" in caplog.text


async def test_a_backup_wants_a_new_directory_and_a_database(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    with pytest.raises(SystemExit, match="There is no database at"):
        await run_backup(settings, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    assert not (tmp_path / "data").exists()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "something").touch()
    with pytest.raises(FolderUnusable, match="is not empty"):
        await run_backup(settings, tmp_path / "used")
    with pytest.raises(FolderUnusable, match="is no directory"):
        await run_backup(settings, tmp_path / "used" / "something")
    assert (tmp_path / "used" / "something").exists()


async def test_a_backup_that_would_fill_the_disk_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server(tmp_path / "data") as server:
        ann, ben = await new_account(server, "Ann"), await new_account(server, "Ben")
        await a_message_with_a_file(server, ann, ben)
    database = (tmp_path / "data" / "parley.db").stat().st_size
    for answers, wanted in (([database - 1], f"{database:,}"), ([database, 0], "1,800")):
        free = iter(answers)  # before the database, before the files
        monkeypatch.setattr(making, "shutil", Disk(free))
        with pytest.raises(SystemExit, match=f"of free space, and {wanted} are wanted"):
            await run_backup(server.settings, tmp_path / "backup")
        assert next(free, None) is None
        assert not (tmp_path / "backup").exists()


class Disk:
    """`shutil` on a disk with so much free space, each time that it is asked."""

    def __init__(self, free: Iterator[int]) -> None:
        self._free = free

    def disk_usage(self, path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=next(self._free))

    def rmtree(self, path: Path) -> None:
        shutil.rmtree(path)


async def test_a_damaged_database_is_not_backed_up(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        ann = await new_account(server, "Ann")
        for number in range(20):
            await send(server, ann, f"{number}" * 2000)
    database = tmp_path / "data" / "parley.db"
    with closing(sqlite3.connect(database)) as connection:
        [root] = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'messages'"
        ).fetchone()
        [size] = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(database.read_bytes())
    content[(root - 1) * size : root * size] = b"\xa5" * size
    database.write_bytes(content)
    with pytest.raises(SystemExit, match=r"No backup was made: .* is damaged"):
        await run_backup(server.settings, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


async def test_a_server_that_runs_is_not_restored_under(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        await new_account(server, "Ann")
        await run_backup(server.settings, tmp_path / "backup")
    with sole_server(server.settings.database):
        for words in (["--from", tmp_path / "backup", "--force"], ["--epoch"]):
            with pytest.raises(DatabaseUnsuitable, match=r"serves .* already.*Stop the server"):
                await run_restore(server.settings, *words)
