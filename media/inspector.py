"""Starts the processes that inspect untrusted files, a few at a time, and reads their answers."""

import asyncio
import logging
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from media.containment import missing_containment
from media.facts import Answer, Facts, Failure, FileKind, Squares
from media.kinds import guess_type
from media.turns import Turns

logger = logging.getLogger("parley.media")

# How long a file may wait for its turn.
WAIT_SECONDS = 30
# What a worker may write beside the file. An honest file's answer is far smaller.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
NO_ANSWER = "The file cannot be read"
ROOT = Path(__file__).parent.parent

# What runs in the process; a test gives it something else to do.
PROGRAM = ("-m", "media.worker")

_decoder: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class FileRefused(Exception):
    """The file is refused; the text tells its sender why."""


class TooManyFiles(Exception):
    """Too many files wait already; this one was not inspected."""


class InspectionFailed(Exception):
    """The file was not inspected, by no fault of its own."""


class Inspected(NamedTuple):
    """What a file is, and its thumbnail (WebP) where it is a picture."""

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

    @property
    def busy(self) -> int:
        """How many files are being inspected."""
        return self._turns.taken

    @property
    def waiting(self) -> int:
        """How many files wait to be inspected."""
        return self._turns.waiting

    async def inspect(
        self,
        file: BinaryIO,
        *,
        size: int,
        wanted: FileKind | None = None,
        owner: str = "",
        address: str = "",
    ) -> Inspected:
        """Return what the file is; rewrite it in place where metadata must go out of it.

        `file` is a real file of this `size`, open for reading and writing. With `wanted` FILE it
        stays as it is. Owners, and addresses, take turns. Raises FileRefused, TooManyFiles,
        InspectionFailed.
        """
        if wanted is FileKind.FILE:
            return Inspected(await asyncio.to_thread(guess_type, file), b"")
        async with self._turn(owner, address):
            answer, thumbnail = await self._work_in_a_process(file, size)
        if not isinstance(answer, Facts):
            raise FileRefused(NO_ANSWER)
        return Inspected(answer, thumbnail)

    async def make_squares(
        self, file: BinaryIO, *, size: int, owner: str = "", address: str = ""
    ) -> tuple[bytes, bytes]:
        """Return the middle of an image in two square sizes (WebP), the larger one first.

        `file` is one that `inspect` has kept as an image. Raises as `inspect`.
        """
        async with self._turn(owner, address):
            answer, pictures = await self._work_in_a_process(file, size, "squares")
        if not isinstance(answer, Squares) or answer.large + answer.small != len(pictures):
            raise FileRefused(NO_ANSWER)
        return pictures[: answer.large], pictures[answer.large :]

    @asynccontextmanager
    async def _turn(self, owner: str, address: str) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await stack.enter_async_context(self._turns.hold(owner, address))
            except TimeoutError:
                raise TooManyFiles from None
            yield

    async def _work_in_a_process(
        self, file: BinaryIO, size: int, *work: str
    ) -> tuple[Facts | Squares, bytes]:
        file.flush()
        file.seek(0)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            most_bytes = 4 * size + MAX_ANSWER_BYTES
            status = await self._run(file, output, errors, most_bytes, *work)
            output.seek(0)
            head, _, pictures = output.read(MAX_ANSWER_BYTES).partition(b"\n")
            errors.seek(0)
            complaint = errors.read(500).decode(errors="replace").strip()
        answer = _decode(head)
        if isinstance(answer, Facts | Squares):
            if complaint or status:
                logger.info("A file was not understood (status %d): %r", status, complaint)
            return answer, pictures
        never_began = status > 0 and not head
        if isinstance(answer, Failure) or never_began:
            logger.error("A file could not be looked at (status %d): %r", status, complaint)
            raise InspectionFailed
        # Without an answer, one of its limits has ended the worker.
        reason = NO_ANSWER if answer is None else answer.refused
        logger.info("A file was refused (status %d): %s %r", status, reason, complaint)
        raise FileRefused(reason)

    async def _run(
        self, file: BinaryIO, output: BinaryIO, errors: BinaryIO, most_bytes: int, *work: str
    ) -> int:
        """Run a worker to its end, and return its exit status. Raises FileRefused."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(*PROGRAM, str(self._memory), str(self._seconds), str(most_bytes), *work),
            stdin=file,
            stdout=output,
            stderr=errors,
            cwd=ROOT,
            # A hostile file could make its decoder tell the environment: no secret is in it.
            env={"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl+C is for the server
        )
        try:
            async with asyncio.timeout(self._seconds):
                return await process.wait()
        except TimeoutError:
            raise FileRefused("The file takes too long to read") from None
        finally:
            # The caller may have gone: no worker goes on for a caller who has.
            if process.returncode is None:
                process.kill()
                await asyncio.shield(process.wait())


def _decode(head: bytes) -> Answer | None:
    try:
        return _decoder.decode(head)
    except msgspec.DecodeError:
        return None
