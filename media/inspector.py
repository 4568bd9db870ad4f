"""Starts the processes that look at untrusted files, a few at a time, and hears what they say."""

import asyncio
import logging
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from media.facts import Facts, FileKind, Refusal

logger = logging.getLogger("parley.media")

# How many files may wait for each worker: at a quarter of a second each, the last waits 8 s.
WAITING_PER_WORKER = 32
# What a worker may write: nothing it makes of an honest file comes near it.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
ROOT = Path(__file__).parent.parent

_decoder = msgspec.json.Decoder(Facts)


class FileRefused(Exception):
    """The file cannot be taken; the text says why, for who sent it."""


class TooManyFiles(Exception):
    """Too many files wait already; this one was not looked at."""


class Inspected(NamedTuple):
    """What a file is, and a small picture of it (WebP) where it is one."""

    facts: Facts
    thumbnail: bytes


class Inspector:
    """Inspects files, each in a process of its own with limits of memory and time."""

    def __init__(self, *, workers: int, memory_bytes: int, seconds: int) -> None:
        self._memory = memory_bytes
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="media")
        self._room = workers * (WAITING_PER_WORKER + 1)

    async def inspect(
        self, file: BinaryIO, *, size: int, wanted: FileKind | None = None
    ) -> Inspected:
        """Return what the file is; it is rewritten in place where something must be taken out.

        `file` is a real file of this `size`, open for both; `wanted` FILE has it left as it is.
        Raises FileRefused, TooManyFiles.
        """
        if self._room == 0:
            raise TooManyFiles
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, self._run, file, size, wanted
            )
        finally:
            self._room += 1

    def close(self) -> None:
        """End the threads; those who wait are abandoned."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, file: BinaryIO, size: int, wanted: FileKind | None) -> Inspected:
        file.flush()
        file.seek(0)
        limits = (self._memory, self._seconds, 4 * size + MAX_ANSWER_BYTES)
        arguments = [wanted.value if wanted else "ANY", *map(str, limits)]
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
            try:
                ended = subprocess.run(  # noqa: S603  # our own program; nothing in it is a client's
                    [sys.executable, "-m", "media.worker", *arguments],
                    stdin=file,
                    stdout=output,
                    stderr=complaints,
                    timeout=self._seconds,
                    cwd=ROOT,
                    # Nothing of ours: no secret is where a decoder could be made to tell it.
                    env={"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
                )
            except subprocess.TimeoutExpired as error:
                raise FileRefused("The file takes too long to read") from error
            output.seek(0)
            said = output.read(MAX_ANSWER_BYTES)
            complaints.seek(0)
            complaint = complaints.read(2000).decode(errors="replace").strip()
        if complaint or ended.returncode:
            logger.info("A file was not understood (status %d): %s", ended.returncode, complaint)
        head, _, thumbnail = said.partition(b"\n")
        try:
            return Inspected(_decoder.decode(head), thumbnail)
        except msgspec.DecodeError:
            raise FileRefused(_reason(head)) from None


def _reason(head: bytes) -> str:
    try:
        return msgspec.json.decode(head, type=Refusal).refused
    except msgspec.DecodeError:
        return "The file cannot be read"  # the worker was ended by one of its limits
