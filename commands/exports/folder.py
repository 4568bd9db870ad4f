"""The directory of an export: closed to other users, and empty at the beginning."""

import os
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import msgspec

from db.private import DIRECTORY_MODE, FILE_MODE, close_to_others

_encoder = msgspec.json.Encoder()


class FolderUnusable(OSError):
    """The directory cannot be written to; the text says why."""


class Folder:
    """Writes JSON, JSON lines and files. Raises FolderUnusable where there is something already."""

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise FolderUnusable(f"{path} is not empty: name a new directory")
            close_to_others(path)
        except FileExistsError as error:
            raise FolderUnusable(f"{path} is no directory") from error
        self.path = path

    def write(self, name: str, value: Any) -> None:
        """Write a value as JSON that people can read."""
        with self._open(name) as file:
            file.write(msgspec.json.format(_encoder.encode(value), indent=2) + b"\n")

    async def write_lines(self, name: str, values: AsyncIterable[Any]) -> int:
        """Write a line of JSON for each value; return how many there were."""
        count = 0
        with self._open(name) as file:
            async for value in values:
                file.write(_encoder.encode(value) + b"\n")
                count += 1
        return count

    async def write_file(self, name: str, chunks: AsyncIterable[bytes]) -> None:
        """Write a file's bytes."""
        with self._open(name) as file:
            async for chunk in chunks:
                file.write(chunk)

    def remove(self, name: str) -> None:
        """Remove a file that could not be written whole."""
        (self.path / name).unlink(missing_ok=True)

    @contextmanager
    def _open(self, name: str) -> Iterator[BinaryIO]:
        """Open a new file. Its name is ours, or from the store: never outside the directory."""
        if ".." in PurePosixPath(name).parts or name.startswith("/"):
            raise FolderUnusable(f"{name!r} is no name for a file")
        path = self.path / name
        for parent in reversed(path.relative_to(self.path).parents):
            (self.path / parent).mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(path, flags, FILE_MODE), "wb") as file:
            yield file
