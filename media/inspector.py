"""Starts the processes that look at untrusted files, a few at a time, and hears what they say."""

import asyncio
import logging
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import msgspec

from media.containment import missing_containment
from media.facts import Facts, Failure, FileKind, Refusal
from media.kinds import guess_type
from media.turns import Turns

logger = logging.getLogger("parley.media")

# How long a file may wait for its turn.
WAIT_SECONDS = 30
# What a worker may write beside the file: nothing it makes of an honest one comes near it.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
ROOT = Path(__file__).parent.parent

# What runs in the process; a test gives it something else to do.
PROGRAM = ("-m", "media.worker")

_decoder = msgspec.json.Decoder(Facts)


Answer = TypeVar("Answer")


class FileRefused(Exception):
    """The file cannot be taken; the text says why, for who sent it."""


class TooManyFiles(Exception):
    """Too many files wait already; this one was not looked at."""


class InspectionFailed(Exception):
    """The file was not looked at, by no fault of its own."""


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
        if missing := missing_containment():
            logger.warning(
                "Processes that look at uploads are held by less here: this system has no %s"
                " (docs/security.md)",
                " and no ".join(missing),
            )

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
        Raises FileRefused, TooManyFiles, InspectionFailed.
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
                *(*PROGRAM, *map(str, limits)),
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
        head, _, thumbnail = said.partition(b"\n")
        try:
            inspected = Inspected(_decoder.decode(head), thumbnail)
        except msgspec.DecodeError:
            failed = _as(Failure, head)
            if failed is not None or (status > 0 and not head):  # it did not come to the file
                logger.error("A file could not be looked at (status %d): %r", status, complaint)
                raise InspectionFailed from None
            refusal = _as(Refusal, head)
            # Without an answer, the worker was ended by one of its limits.
            reason = refusal.refused if refusal is not None else "The file cannot be read"
            logger.info("A file was refused (status %d): %s %r", status, reason, complaint)
            raise FileRefused(reason) from None
        if complaint or status:
            logger.info("A file was not understood (status %d): %r", status, complaint)
        return inspected


def _as(type_: type[Answer], head: bytes) -> Answer | None:
    try:
        return msgspec.json.decode(head, type=type_)
    except msgspec.DecodeError:
        return None
