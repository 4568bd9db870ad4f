"""Runs the machine's one indexer, in one of the processes that share the directory.

The process that holds the lock of the directory starts the indexer, and starts it again when it
ends. The indexer holds the lock too: when its server dies, the indexer ends, and another process
takes over.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import msgspec
from sqlalchemy import URL

from db.search.index import IndexPlace
from db.search.indexer import Source, Told

logger = logging.getLogger("parley.search")

ROOT = Path(__file__).parent.parent.parent
PROGRAM = ("-m", "db.search.indexer")
# The indexer starts so long after there is something to index, or at the first search: many
# servers of tests and trials have ended by then.
START_SECONDS = 1.0
# How often the indexer is told how far the log goes. Searches tell it too, and at once.
TELL_SECONDS = 1.0
# How often a process that has no indexer tries to have it, and after a failure.
TAKE_OVER_SECONDS, RETRY_SECONDS = 1.0, 5.0
# After so long an indexer that ended is started again; the last one for all further times.
RESTART_SECONDS = (0.0, 0.5, 2.0, 10.0, 60.0)
# An indexer that ran for so long has not failed at once.
STEADY_SECONDS = 30.0
# To kill an indexer does no harm: it may still be starting.
END_SECONDS = 1.0

_encoder = msgspec.json.Encoder()


class Keeper:
    """Keeps an indexer running. `head` says how far the log goes, `epoch` which log it is."""

    def __init__(
        self, url: URL, place: IndexPlace, *, head: Callable[[], int], epoch: Callable[[], str]
    ) -> None:
        self._source = Source(_written_url(url))
        self._place = place
        self._directory = place.directory.absolute()
        self._head = head
        self._epoch = epoch
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    def start(self) -> None:
        """Begin, once, on the running loop."""
        self._task = asyncio.create_task(self._keep(), name="search")

    async def close(self) -> None:
        """End the indexer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def hurry(self) -> None:
        """Start the indexer now, if it has not been started: somebody searches."""
        self._hurry.set()

    async def _keep(self) -> None:
        began = monotonic()
        while not self._head() or (
            monotonic() - began < START_SECONDS and not self._hurry.is_set()
        ):
            await self._pause(START_SECONDS)
        failure = ""
        while True:
            try:
                lock = self._place.lock()
                if lock is None:
                    await asyncio.sleep(TAKE_OVER_SECONDS)
                    continue
                failure = ""
                try:
                    await self._run_again_and_again(lock)
                finally:
                    self._place.unlock(lock)
            except OSError as error:
                # Once for each kind of failure: a full disk stays full.
                if failure != repr(error):
                    logger.error("The search index is behind; trying again (%r)", error)
                failure = repr(error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)
            # Nothing to index yet: the next search may come when there is.
            if not self._head():
                self._hurry.clear()

    async def _run_again_and_again(self, lock: int) -> None:
        failures = 0
        while True:
            began = monotonic()
            status = await self._run(lock)
            failures = 1 if monotonic() - began >= STEADY_SECONDS else failures + 1
            pause = RESTART_SECONDS[min(failures, len(RESTART_SECONDS)) - 1]
            if failures <= len(RESTART_SECONDS):  # it may go on for days
                logger.error(
                    "The search's indexer ended (status %s); starting it again in %.1f s",
                    status,
                    pause,
                )
            await asyncio.sleep(pause)

    async def _run(self, lock: int) -> int:
        """Run the indexer to its end, and return its exit status. Raises OSError."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(*PROGRAM, str(self._directory)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            pass_fds=[lock],
            start_new_session=True,  # Ctrl+C is for the server
        )
        talking = asyncio.gather(self._tell(process), self._log(process))
        try:
            return await process.wait()
        finally:
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
            await asyncio.shield(_end(process))

    async def _tell(self, process: asyncio.subprocess.Process) -> None:
        """Tell the indexer how far the log goes, whenever that has changed."""
        assert process.stdin is not None  # noqa: S101  # it was asked for
        process.stdin.write(_encoder.encode(self._source) + b"\n")
        told: Told | None = None
        with contextlib.suppress(ConnectionError):  # it has ended, which is noticed elsewhere
            while True:
                now = Told(self._head(), self._epoch())
                if now != told:
                    process.stdin.write(_encoder.encode(now) + b"\n")
                    await process.stdin.drain()
                    told = now
                await asyncio.sleep(TELL_SECONDS)

    async def _log(self, process: asyncio.subprocess.Process) -> None:
        """Log what the indexer says."""
        assert process.stdout is not None  # noqa: S101  # it was asked for
        while line := await process.stdout.readline():
            level, _, text = line.decode(errors="replace").rstrip().partition(" ")
            logger.log(getattr(logging, level, logging.WARNING), "%s", text)


def _written_url(url: URL) -> str:
    # The indexer has another working directory.
    if url.get_backend_name() == "sqlite" and url.database:
        url = url.set(database=str(Path(url.database).absolute()))
    return url.render_as_string(hide_password=False)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the indexer: it does at the end of its input. What is not committed is read again."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
