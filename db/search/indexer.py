"""The program that keeps the index: a process of its own, so that no message waits for it.

Its argument is the directory. Its standard input says which database, then how far the log goes, in
lines of JSON; at its end, the server that started it has ended, and so does this. Its standard
output is lines of the server's log. It has the lowest priority: on a machine that is fully busy,
the index falls behind and people's messages do not.
"""

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec

from db.engines.database import Database
from db.search.follower import Follower
from db.search.index import IndexPlace
from db.search.requests import RequestPipe, read_requests

PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
NICEST = 19
# Messages live shortly: to look for cycles after each few hundred of them would be in vain.
COLLECT_AFTER = 50_000
THREADS = 2
CLOSE_SECONDS = 1.0


class Source(msgspec.Struct, frozen=True):
    """The first line of the input. A password may be in it: so it is no argument."""

    database: str


class Told(msgspec.Struct, frozen=True):
    """Every other line: how far the log goes, and which log it is."""

    head: int
    epoch: str


def main(directory: Path) -> None:
    """Keep the index until the input ends, or SIGTERM comes."""
    _protect()
    _give_way()
    logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s", level=logging.INFO)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    asyncio.run(_run(directory))
    sys.stdout.flush()
    os._exit(0)  # a thread may still wait for the disk


async def _run(directory: Path) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    working = asyncio.create_task(_work(directory))
    working.add_done_callback(lambda _: ended.set())
    await ended.wait()
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


async def _work(directory: Path) -> None:
    """Follow the log as the input tells, to the input's end."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    protocol = partial(asyncio.StreamReaderProtocol, lines)
    await loop.connect_read_pipe(protocol, sys.stdin)
    if not (first := await lines.readline()):
        return
    source = msgspec.json.decode(first, type=Source)
    database = Database(source.database, pool_size=1)
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix="search")
    follower = Follower(database, IndexPlace(directory), executor)
    try:
        pipe = RequestPipe(directory).open()
        loop.add_reader(pipe, _hear, follower, pipe)
    except OSError as error:
        logging.warning("Searches find what is new a bit later: %s", error)
    follower.start()
    try:
        while line := await lines.readline():
            told = msgspec.json.decode(line, type=Told)
            follower.tell(told.head, told.epoch)
    finally:
        await follower.close()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await database.close()


def _hear(follower: Follower, pipe: int) -> None:
    for request in read_requests(pipe):
        follower.ask(request)


def _protect() -> None:
    """Let no other program of this user read this one's memory; end when the server does."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for option, value in ((PR_SET_DUMPABLE, 0), (PR_SET_PDEATHSIG, signal.SIGKILL)):
            libc.prctl(option, *(ctypes.c_ulong(word) for word in (value, 0, 0, 0)))


def _give_way() -> None:
    with contextlib.suppress(OSError):
        os.nice(NICEST)
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
