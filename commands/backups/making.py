"""Makes a backup: the database at one moment, and every file that it names at that moment."""

import asyncio
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from commands.backups.contents import Contents, copy_database, opened, read_contents
from commands.backups.manifest import (
    DATABASE,
    FILES,
    SECRET,
    SUMS,
    BackupUnusable,
    Manifest,
    copy_file,
    hash_file,
    write_manifest,
)
from commands.exports.folder import FolderUnusable
from db.engines.database import Database
from db.files import directory_of
from db.private import DIRECTORY_MODE, FILE_MODE, close_to_others
from settings import VERSION, Settings

# How often the database is copied again because files that it named were removed meanwhile.
TRIES = 5


def make_backup(settings: Settings, path: Path) -> Manifest:
    """Write a backup into a new or empty directory; a server may run and people may write.

    Where it fails, nothing is left of it. Where the process is killed, no manifest is there.
    Raises FolderUnusable, BackupUnusable, DatabaseUnavailable, OSError.
    """
    was_there = _open_folder(path)
    try:
        return _Making(settings, path).make()
    except BaseException:
        _empty(path)
        if not was_there:
            path.rmdir()
        raise


def _open_folder(path: Path) -> bool:
    """Make the directory, closed to others; return whether it was there. Raises FolderUnusable."""
    try:
        was_there = path.exists()
        path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise FolderUnusable(f"{path} is no directory") from error
    if any(path.iterdir()):
        raise FolderUnusable(f"{path} is not empty: name a new directory")
    close_to_others(path)
    return was_there


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


class _Making:
    def __init__(self, settings: Settings, path: Path) -> None:
        self._path = path
        self._url = settings.database
        self._store = directory_of(settings.storage)
        self._secret = None if settings.jwt_secret else settings.data_dir / SECRET
        self._live: Path | None = None  # SQLite's file
        # The size and the sum of each file that is in the backup.
        self._sums: dict[str, tuple[int, str]] = {}

    def make(self) -> Manifest:
        """Copy everything, the manifest last."""
        contents, missing = self._copy_until_consistent(self._reader())
        if self._live is not None:
            self._sums[DATABASE] = hash_file(self._path / DATABASE)
        if self._secret is not None and self._secret.exists():
            self._sums[SECRET] = copy_file(self._secret, self._path / SECRET)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(self._path / SUMS, flags, FILE_MODE), "w") as sums:
            sums.writelines(f"{sum_}  {name}\n" for name, (_, sum_) in sorted(self._sums.items()))
        os.sync()  # once for all files: one by one takes a minute for ten thousand of them
        manifest = Manifest(
            made_at=datetime.now(UTC),
            parley=VERSION,
            engine="mysql" if self._live is None else "sqlite",
            schema=contents.schema,
            epoch=contents.epoch,
            position=contents.position,
            files=len(self._sums),
            bytes=sum(size for size, _ in self._sums.values()),
            missing=sorted(missing),
            sums_sha256=hash_file(self._path / SUMS)[1],
        )
        write_manifest(self._path, manifest)
        return manifest

    def _reader(self) -> Callable[[], Contents]:
        """Return what reads the database's contents at a moment, and copies SQLite's file."""
        database = Database(self._url)
        if database.is_sqlite:
            live, copy = Path(database.url.database or ""), self._path / DATABASE
            if not live.is_file():
                raise BackupUnusable(f"There is no database at {live}")
            self._live = live

            def read_copy() -> Contents:
                self._check_room(live.stat().st_size)
                copy_database(live, copy)
                with opened(copy) as connection:
                    return read_contents(connection)

            return read_copy

        async def read() -> Contents:
            try:
                async with database.write() as connection:  # a replica may lag
                    return await connection.run_sync(read_contents)
            finally:
                await database.close()

        return lambda: asyncio.run(read())

    def _copy_until_consistent(self, read: Callable[[], Contents]) -> tuple[Contents, set[str]]:
        """Copy until each file that is named is there, or was missing from the beginning.

        A file may be removed between the two copies: then its message was deleted, and the next
        copy of the database does not name it.
        """
        missing: set[str] = set()
        for _ in range(TRIES):
            contents = read()
            named = {*contents.files} if self._store is not None else set()
            self._forget_files(but=named)
            self._check_room(sum(map(self._size_of, named)))
            gone = {name for name in named if not self._has_file(name)}
            if gone <= missing:
                break
            missing = gone
        return contents, gone

    def _check_room(self, wanted: int) -> None:
        """Raise BackupUnusable before a disk is full that the server may write to as well."""
        free = shutil.disk_usage(self._path).free
        if free < wanted:
            raise BackupUnusable(
                f"{self._path} has {free:,} bytes of free space, and {wanted:,} are wanted"
            )

    def _size_of(self, name: str) -> int:
        """Return how much of a file is still to be copied."""
        assert self._store is not None  # noqa: S101  # no name is asked for otherwise
        try:
            return 0 if f"{FILES}/{name}" in self._sums else (self._store / name).stat().st_size
        except FileNotFoundError:
            return 0

    def _forget_files(self, *, but: set[str]) -> None:
        for name in [*self._sums]:
            if name.removeprefix(f"{FILES}/") not in but:
                (self._path / name).unlink()
                del self._sums[name]

    def _has_file(self, name: str) -> bool:
        """Copy a file of the store, unless an earlier try has; return whether it is there."""
        assert self._store is not None  # noqa: S101  # no name is asked for otherwise
        within = f"{FILES}/{name}"
        if within in self._sums:
            return True
        target = self._path / within
        for parent in (target.parent.parent, target.parent):
            parent.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        try:
            self._sums[within] = copy_file(self._store / name, target)
        except FileNotFoundError:
            return False
        return True
