"""The store of files' bytes: a directory, or S3, GCS or Azure, behind one interface."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from db.private import DIRECTORY_MODE, FILE_MODE, close_to_others

logger = logging.getLogger("parley.files")

# How much of a file is in memory at once, while it is written and while it is read.
CHUNK_BYTES = 1024 * 1024
CHUNKS_AT_ONCE = 2
READ_BYTES = 64 * 1024
# A store that does not answer: a caller hears so before its own patience ends.
CONNECT_SECONDS = 5
ANSWER_SECONDS = 30
TRIES = 2


class StoreUnavailable(Exception):
    """The store does not answer; nothing is wrong with the call."""


class StoreUnsuitable(Exception):
    """There is no such store; the text says why."""


class FileMissing(Exception):
    """The store has no such file."""


def directory_of(url: str) -> Path | None:
    """Return the directory of a store that is one; None for a bucket."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


class FileStore:
    """Keeps files by name. A file that was put is there whole, or not at all.

    `url` is a directory (`file:///srv/files`) or a bucket (`s3://bucket/prefix?region=…`), whose
    parameters are obstore's settings. Missing ones are read where the cloud's own tools read them.
    Raises StoreUnsuitable for a URL that cannot be one.
    """

    def __init__(self, url: str) -> None:
        self._directory = directory_of(url)
        self._store: ObjectStore
        parts = urlsplit(url)
        if self._directory is not None:
            try:
                self._directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
                close_to_others(self._directory)
                self._store = LocalStore(self._directory)
            except (BaseError, OSError) as error:
                raise StoreUnsuitable(_first_line(error)) from error
            return
        settings: dict[str, Any] = dict(parse_qsl(parts.query))
        plain = str(settings.get("endpoint", "")).startswith("http://")
        try:
            self._store = from_url(
                parts._replace(query="").geturl(),
                client_options={
                    "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                    "timeout": timedelta(seconds=ANSWER_SECONDS),
                    "allow_http": plain,  # only where an address without TLS was written down
                },
                retry_config={
                    "max_retries": TRIES,
                    "retry_timeout": timedelta(seconds=ANSWER_SECONDS),
                },
                **settings,
            )
        except (BaseError, ValueError) as error:  # a ValueError: it is no URL at all
            raise StoreUnsuitable(_first_line(error)) from error

    async def put(self, name: str, content: BinaryIO | bytes) -> None:
        """Keep the content, read from its current position. Raises StoreUnavailable."""
        with _naming_unavailability():
            if self._directory is not None:
                await asyncio.to_thread(_make_parent, self._directory / name)
            await obstore.put_async(
                self._store,
                name,
                content,
                chunk_size=max(CHUNK_BYTES, 0 if self._directory else 5 * CHUNK_BYTES),
                max_concurrency=CHUNKS_AT_ONCE,
            )
            if self._directory is not None:
                await asyncio.to_thread(_sync, self._directory / name)

    def close_to_others(self) -> int:
        """Close the files that are there to other users of the machine; return how many were open.

        Blocks while it looks at each file.
        """
        if self._directory is None:
            return 0
        closed = 0
        # Only our own directories, named by two digits of a hash, and the files in them.
        for parent in self._directory.glob("[0-9a-f][0-9a-f]"):
            for entry in (parent, *parent.iterdir()):
                with suppress(FileNotFoundError):  # it was swept meanwhile
                    closed += not entry.is_symlink() and close_to_others(entry, quietly=True)
        if closed:
            logger.warning("%d attachments were open to other users; they are closed now", closed)
        return closed

    async def has(self, name: str, size: int) -> bool:
        """Whether the file is there, whole. Raises StoreUnavailable."""
        try:
            with _naming_unavailability():
                found = await obstore.head_async(self._store, name)
        except FileMissing:
            return False
        return found["size"] == size

    async def read(self, name: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from `start` up to, and without, `end`; at most 64 KiB at a time.

        Raises FileMissing, StoreUnavailable.
        """
        if start >= end:
            return
        with _naming_unavailability():
            found = await obstore.get_async(self._store, name, options={"range": (start, end)})
            async for chunk in found.stream(min_chunk_size=READ_BYTES):
                yield bytes(chunk)

    async def delete(self, name: str) -> None:
        """Remove the file, and what a put that crashed has left. Raises StoreUnavailable."""
        try:
            with _naming_unavailability():
                await obstore.delete_async(self._store, name)
        except FileMissing:
            logger.debug("%s was never put", name)
        if self._directory is not None:
            # The store writes a file under another name first.
            await asyncio.to_thread(_remove_unfinished, self._directory / name)


def _make_parent(path: Path) -> None:
    # The store would make it too, as the umask says.
    path.parent.mkdir(mode=DIRECTORY_MODE, exist_ok=True)


def _sync(path: Path) -> None:
    """Have the disk keep the file and its name before anybody hears that it is kept."""
    path.chmod(FILE_MODE)
    for kept in (path, path.parent):
        descriptor = os.open(kept, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_unfinished(path: Path) -> None:
    for unfinished in path.parent.glob(f"{path.name}#*"):
        unfinished.unlink(missing_ok=True)


@contextmanager
def _naming_unavailability() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise FileMissing(_first_line(error)) from error
    except (BaseError, OSError) as error:
        raise StoreUnavailable(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
