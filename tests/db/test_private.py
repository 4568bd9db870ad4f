"""Files and directories are closed to other users, whatever the umask and their modes were."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.engines.database import Database, DatabaseUnsuitable
from db.files import FileStore
from db.private import DirectoryUnusable, close_to_others, open_database_file, open_directory
from tests.db.rows import open_database


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """As a service manager, a shell or a container sets it."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(root: Path) -> set[int]:
    return {mode(path) for path in root.rglob("*") if path.is_file()}


def open_to_others(directory: Path) -> None:
    for path in directory.iterdir():
        path.chmod(0o664)


async def test_the_database_and_what_is_beside_it_are_closed(umask: int, tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/data/parley.db")
    await database.prepare()
    async with database.write() as connection:
        await connection.exec_driver_sql("CREATE TABLE a (b INTEGER)")
    assert {path.name for path in (tmp_path / "data").iterdir()} == {
        "parley.db",
        "parley.db-wal",
        "parley.db-shm",
    }
    assert modes(tmp_path) == {0o600}
    await database.close()


async def test_a_database_that_was_open_to_others_is_closed_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "parley.db"
    before = open_database(f"sqlite:///{path}")
    await before.prepare()
    async with before.write() as connection:
        await connection.exec_driver_sql("CREATE TABLE a (b INTEGER)")
    open_to_others(tmp_path)
    with caplog.at_level(logging.WARNING):
        after = open_database(f"sqlite:///{path}")
        await after.prepare()
    assert modes(tmp_path) == {0o600}
    assert f"{path} was open to other users (mode 664)" in caplog.text
    await before.close()
    await after.close()


async def test_attachments_are_closed(umask: int, tmp_path: Path) -> None:
    store = FileStore((tmp_path / "files").as_uri())
    await store.put("ab/abcd", b"content")
    assert modes(tmp_path) == {0o600}
    assert [mode(tmp_path / "files"), mode(tmp_path / "files/ab")] == [0o700, 0o700]


async def test_attachments_that_were_open_are_closed_and_nothing_else_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "files"
    store = FileStore(root.as_uri())
    await store.put("ab/one", b"1")
    await store.put("cd/two", b"2")
    others = tmp_path / "script"
    others.write_text("not ours")
    (root / "notes").mkdir()
    (root / "notes" / "read.me").write_text("not ours")
    (root / "ab" / "link").symlink_to(others)
    for path in (root, root / "ab", root / "notes"):
        path.chmod(0o755)
    for path in (root / "ab/one", root / "notes/read.me", others):
        path.chmod(0o755)
    again = FileStore(root.as_uri())
    with caplog.at_level(logging.WARNING):
        assert again.close_to_others() == 2
    assert "2 attachments were open" in caplog.text
    assert [mode(path) for path in (root, root / "ab", root / "ab/one")] == [0o700, 0o700, 0o600]
    assert [mode(path) for path in (root / "notes/read.me", others)] == [0o755, 0o755]
    assert again.close_to_others() == 0


def test_a_directory_is_made_closed_and_one_that_was_open_is_closed(
    umask: int, tmp_path: Path
) -> None:
    open_directory(tmp_path / "new", name="DATA_DIR")
    (tmp_path / "old").mkdir()
    (tmp_path / "old").chmod(0o777)
    open_directory(tmp_path / "old", name="DATA_DIR")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "target").mkdir()
    (tmp_path / "target").chmod(0o755)
    open_directory(tmp_path / "link", name="DATA_DIR")
    assert [mode(tmp_path / name) for name in ("new", "old", "target")] == [0o700] * 3


def test_a_directory_that_all_share_is_left_open(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o1777)
    assert not close_to_others(tmp_path)
    assert mode(tmp_path) == 0o1777
    assert "shared" in caplog.text


def test_a_directory_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "missing")
    for path, why in (
        (tmp_path / "file", "no directory"),
        (tmp_path / "dangling", "leads nowhere"),
        (tmp_path / "file" / "below", "Not a directory"),
        (Path("/proc/parley"), "No such file|Permission denied"),
    ):
        with pytest.raises(DirectoryUnusable, match=f"DATA_DIR={path} cannot be used: .*({why})"):
            open_directory(path, name="DATA_DIR")


async def test_a_database_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "dir.db").mkdir()
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/dir.db")
    with pytest.raises(DatabaseUnsuitable, match=r"dir\.db cannot be used: Is a directory"):
        await database.prepare()
    await database.close()


def test_a_directory_that_is_read_only_is_named() -> None:
    # Of the kernel's: root, too, makes nothing in there.
    read_only = "/proc/sys/net/ipv4" if os.geteuid() == 0 else "/"
    with pytest.raises(DirectoryUnusable, match=f"DATA_DIR={read_only} cannot be used"):
        open_directory(Path(read_only), name="DATA_DIR")


def test_a_database_file_that_is_there_keeps_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"content")
    open_database_file(path)
    assert path.read_bytes() == b"content"
