"""Puts a backup in its place: everything beside the place first, and checked; then all at once.

A restore that is killed before the last step has changed nothing. One that is killed within it
leaves a mark, with which no command runs but the same restore again.
"""

import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import make_url

from commands.backups.contents import opened
from commands.backups.manifest import (
    DATABASE,
    FILES,
    SECRET,
    BackupUnusable,
    Manifest,
    copy_file,
    read_sums,
    sync_directory,
)
from commands.backups.unfinished import MARK
from db import migrate
from db.files import directory_of
from db.private import BESIDE, DIRECTORY_MODE, open_directory
from db.restored import NewLog, begin_anew
from settings import Settings

STAGED, REPLACED = ".restored", ".replaced"
# The directories of the store's files are named by two digits of a hash. Nothing else is replaced.
_OURS = re.compile("[0-9a-f]{2}")


class Restoring:
    """A backup on its way to the places that the settings name.

    The caller holds the database as its only server.
    """

    def __init__(self, settings: Settings, source: Path, manifest: Manifest) -> None:
        url = make_url(settings.database)
        self._is_sqlite = url.get_backend_name() == "sqlite"
        # The file itself, where its name is a link.
        self._database = Path(os.path.realpath(url.database or ""))
        self._store = directory_of(settings.storage)
        self._data = settings.data_dir
        self._wants_secret = settings.jwt_secret is None
        self._source = source
        self._manifest = manifest
        self._mark = settings.data_dir / MARK

    def check(self, *, force: bool) -> None:
        """Raise BackupUnusable where the backup does not fit, or something is there already."""
        engine = "sqlite" if self._is_sqlite else "mysql"
        if self._manifest.engine != engine:
            raise BackupUnusable(
                f"{self._source} was made with {self._manifest.engine}, and these settings"
                f" (DB_HOST, DATABASE_URL) name {engine}"
            )
        known = migrate.versions()
        if self._manifest.schema not in known:
            raise BackupUnusable(
                f"{self._source} is of a newer Parley: {self._manifest.parley}, with tables of"
                f" version {self._manifest.schema}; this one knows up to {known[-1]}"
            )
        if not force and not self._mark.exists() and (there := self._existing()):
            raise BackupUnusable(
                f"There is data already: {there}. Name an empty DATA_DIR, or replace what is there"
                " with --force"
            )
        open_directory(self._data, name="DATA_DIR")
        free, wanted = shutil.disk_usage(self._data).free, self._manifest.bytes
        if free < wanted:
            raise BackupUnusable(
                f"{self._data} has {free:,} bytes of free space; the backup takes {wanted:,}"
            )

    def _existing(self) -> Path | None:
        """Return a place where there is something that would be replaced."""
        if self._is_sqlite and self._database.exists() and self._database.stat().st_size:
            return self._database
        return next(iter(self._stored()), None)

    def _stored(self) -> list[Path]:
        if self._store is None or not self._store.is_dir():
            return []
        return [entry for entry in self._store.iterdir() if _OURS.fullmatch(entry.name)]

    def restore(self) -> NewLog | None:
        """Copy, check and replace; return how SQLite's log goes on. Raises BackupUnusable."""
        self._remove_staged()
        try:
            self._stage()
            log = self._begin_anew() if self._is_sqlite else None
            os.sync()
        except BaseException:
            self._remove_staged()
            raise
        self._put()
        return log

    def _stage(self) -> None:
        """Copy every file beside its place. Raises BackupUnusable where one is not as it was."""
        for name, sum_ in read_sums(self._source, self._manifest):
            target = self._staged(name)
            if target is None:
                continue
            _make_directory(target.parent)
            try:
                _, found = copy_file(self._source / name, target)
            except FileNotFoundError as error:
                raise BackupUnusable(f"{self._source} lacks {name}") from error
            if found != sum_:
                raise BackupUnusable(f"{self._source / name} is not as it was written")

    def _staged(self, name: str) -> Path | None:
        """Return where a file of the backup waits; None for one that has no place here."""
        if name == DATABASE:
            return self._beside if self._is_sqlite else None
        if name == SECRET:
            return self._data / f"{SECRET}{STAGED}" if self._wants_secret else None
        if self._store is None:
            raise BackupUnusable(
                f"{self._source} has files, and STORAGE_URL names a bucket: restore with a"
                " directory (STORAGE_URL=file:///…), then copy them into the bucket"
            )
        return self._store / STAGED / name.removeprefix(f"{FILES}/")

    @property
    def _beside(self) -> Path:
        return self._database.with_name(f"{self._database.name}{STAGED}")

    def _begin_anew(self) -> NewLog:
        with opened(self._beside, writes=True) as connection:
            return begin_anew(connection, copied_at=self._manifest.made_at, now=datetime.now(UTC))

    def _put(self) -> None:
        """Replace what is there, marked until the end."""
        self._mark.write_text(f"{self._source.absolute()}\n")
        sync_directory(self._data)
        if self._is_sqlite:
            for end in BESIDE:  # the write-ahead log of the replaced database is none of this one
                self._database.with_name(f"{self._database.name}{end}").unlink(missing_ok=True)
            self._beside.replace(self._database)
            sync_directory(self._database.parent)
        if self._store is not None and self._store.is_dir():
            self._put_files(self._store)
        secret = self._data / f"{SECRET}{STAGED}"
        if secret.exists():
            secret.replace(self._data / SECRET)
        sync_directory(self._data)
        self._mark.unlink()
        sync_directory(self._data)

    def _put_files(self, store: Path) -> None:
        # Within the directory: it may be a file system of its own, which cannot be renamed.
        replaced, staged = store / REPLACED, store / STAGED
        replaced.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        for entry in self._stored():
            entry.rename(replaced / entry.name)
        if staged.is_dir():
            for entry in staged.iterdir():
                entry.rename(store / entry.name)
            staged.rmdir()
        sync_directory(store)
        shutil.rmtree(replaced)

    def _remove_staged(self) -> None:
        """Remove what a restore that was killed has left beside the places."""
        for end in ("", *BESIDE):
            beside = self._beside.with_name(f"{self._beside.name}{end}")
            if self._is_sqlite:
                beside.unlink(missing_ok=True)
        (self._data / f"{SECRET}{STAGED}").unlink(missing_ok=True)
        if self._store is not None:
            for left in (STAGED, REPLACED):
                shutil.rmtree(self._store / left, ignore_errors=True)


def _make_directory(path: Path) -> None:
    """Make a directory and those above it, each closed to others."""
    for directory in (*reversed(path.parents), path):
        directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
