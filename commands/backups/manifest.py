"""What a backup says of itself. Its manifest is written last: without one it is no backup."""

import os
import re
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec

from db.private import FILE_MODE

MANIFEST = "manifest.json"
# Of every other file the sum, as `sha256sum --check SHA256SUMS` reads it.
SUMS = "SHA256SUMS"
DATABASE = "parley.db"
SECRET = "jwt_secret"  # noqa: S105  # nosec B105  # the name of a file
FILES = "files"

FORMAT = "parley-backup"
VERSION = 1  # raised when a reader of the older form could not read the newer one
# A manifest is some lines; another file of this name must not fill the memory.
MAX_MANIFEST_BYTES = 64 * 1024**2
CHUNK_BYTES = 1024 * 1024
_SUM = re.compile(
    rf"([0-9a-f]{{64}})  ({re.escape(DATABASE)}|{SECRET}|{FILES}/[0-9a-f]{{2}}/[0-9A-Za-z._-]+)"
)


class BackupUnusable(Exception):
    """The directory holds no whole backup, or one that does not fit here; the text says why."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a backup: the log up to `position`, as tables of the version `schema`."""

    format: str = FORMAT
    version: int = VERSION
    made_at: datetime
    parley: str
    engine: Literal["sqlite", "mysql"]  # mysql: the database itself is not in the backup
    schema: str
    epoch: str
    position: int
    files: int
    bytes: int
    missing: list[str]  # files that the store had lost before
    sums_sha256: str

    @property
    def beside(self) -> int:
        """How many files there are beside the database."""
        return self.files - (self.engine == "sqlite")


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest of a backup whose files are on the disk: it appears whole, or not."""
    new = path / f"{MANIFEST}.new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    new.rename(path / MANIFEST)
    sync_directory(path)


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a backup. Raises BackupUnusable."""
    if not path.is_dir():
        raise BackupUnusable(f"{path} is no directory")
    try:
        with (path / MANIFEST).open("rb") as file:
            content = file.read(MAX_MANIFEST_BYTES)
    except FileNotFoundError as error:
        raise BackupUnusable(
            f"{path} has no {MANIFEST}: it is no backup, or one that did not come to its end"
        ) from error
    try:
        told = msgspec.json.decode(content)
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise BackupUnusable(f"{path / MANIFEST} is not of a backup")
        if told.get("version") != VERSION:
            raise BackupUnusable(
                f"{path} is a backup of the form {told.get('version')!r}; this Parley reads"
                f" {VERSION}"
            )
        return msgspec.convert(told, Manifest)
    except msgspec.MsgspecError as error:
        raise BackupUnusable(f"{path / MANIFEST} cannot be read: {error}") from error


def read_sums(path: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield the name and the sum of each file of a backup. Raises BackupUnusable."""
    try:
        _, found = hash_file(path / SUMS)
        if found != manifest.sums_sha256:
            raise BackupUnusable(f"{path / SUMS} is not as it was written")
        with (path / SUMS).open(encoding="utf-8") as lines:
            for line in lines:
                match = _SUM.fullmatch(line.rstrip("\n"))
                if match is None:
                    raise BackupUnusable(f"{path / SUMS} names a file that no backup has: {line!r}")
                yield match[2], match[1]
    except FileNotFoundError as error:
        raise BackupUnusable(f"{path} has no {SUMS}") from error


def hash_file(path: Path) -> tuple[int, str]:
    """Return the size and the SHA-256 of a file."""
    hashed, size = sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            hashed.update(chunk)
            size += len(chunk)
    return size, hashed.hexdigest()


def copy_file(source: Path, target: Path) -> tuple[int, str]:
    """Copy into a new file that only its owner may read; return the size and the SHA-256."""
    hashed, size = sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with source.open("rb") as read, open(os.open(target, flags, FILE_MODE), "wb") as written:
        while chunk := read.read(CHUNK_BYTES):
            hashed.update(chunk)
            written.write(chunk)
            size += len(chunk)
    return size, hashed.hexdigest()


def sync_directory(path: Path) -> None:
    """Have the disk keep the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
