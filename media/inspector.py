"""Starts the processes that look at untrusted files, a few at a time, and hears what they say."""

import asyncio
import logging
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from media.facts import Facts, FileKind, Refusal
from media.kinds import guess_type
from media.turns import Turns

logger = logging.getLogger("parley.media")

# How long a file may wait for its turn.
WAIT_SECONDS = 30
# What a worker may write beside the file: nothing it makes of an honest one comes near it.
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
        self._turns = Turns(workers)

    async def inspect(
        self,
        file: BinaryIO,
        *,
        size: int,
        wanted: FileKind | None = None,
        owner: str = "",
        address: str = "",
    ) -> Inspected:
        """Return what the file is; it is rewritten in place where something must be taken out.

        `file` is a real file of this `size`, open for both; `wanted` FILE has it left as it is.
        Turns are shared out between owners, and between addresses.
        Raises FileRefused, TooManyFiles.
        """
        if wanted is FileKind.FILE:
            return Inspected(await asyncio.to_thread(guess_type, file), b"")
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await stack.enter_async_context(self._turns.take(owner, address))
            except TimeoutError:
                raise TooManyFiles from None
            return await self._run(file, size)

    async def _run(self, file: BinaryIO, size: int) -> Inspected:
        file.flush()
        file.seek(0)
        limits = (self._memory, self._seconds, 4 * size + MAX_ANSWER_BYTES)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "media.worker", *map(str, limits)),
                stdin=file,
                stdout=output,
                stderr=complaints,
                cwd=ROOT,
                # No secret is where a decoder could be made to tell it.
                env={"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl+C is for the server
            )
            try:
                async with asyncio.timeout(self._seconds):
                    status = await process.wait()
            except TimeoutError:
                raise FileRefused("The file takes too long to read") from None
            finally:
                # Whoever waited may have gone: nothing looks at a file that nobody waits for.
                if process.returncode is None:
                    process.kill()
                    await asyncio.shield(process.wait())
            output.seek(0)
            said = output.read(MAX_ANSWER_BYTES)
            complaints.seek(0)
            complaint = complaints.read(500).decode(errors="replace").strip()
        if complaint or status:
            logger.info("A file was not understood (status %d): %r", status, complaint)
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
