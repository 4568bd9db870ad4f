"""`main.py search …`: how far this machine's index of messages is; make it anew."""

import argparse
import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from db import facts, migrate
from db.engines.database import Database
from db.search.documents import State
from db.search.follower import Follower
from db.search.index import IndexDamaged, IndexPlace, ReadableIndex
from db.search.requests import Request, RequestPipe
from settings import Settings

LOOK_SECONDS = 0.25
# A server's indexer has answered by then, or never will.
ANSWER_SECONDS = 60.0
BAR = 30


def add_parser(commands: Any) -> None:
    """Add the command and its actions to the command line."""
    search = commands.add_parser("search", help="look at this machine's search index, or remake it")
    actions = search.add_subparsers(dest="action", required=True)
    actions.add_parser("status", help="print how many messages it has, and how large it is")
    actions.add_parser("rebuild", help="make it anew from the database; servers may run")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Do the action. Raises DatabaseUnavailable, OSError."""
    if settings.search == "off":
        raise SystemExit("SEARCH=off: there is no index")
    url = make_url(settings.database)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        raise SystemExit(f"There is no database at {url.database} yet: start the server once")
    asyncio.run(_run(settings, options.action))


async def _run(settings: Settings, action: str) -> None:
    database = Database(settings.database, pool_size=1)
    try:
        await migrate.upgrade(database, stoppable=True)
        async with database.read() as connection:
            epoch, head = await facts.read_cursor(connection)
        place = IndexPlace(settings.data_dir / "search")
        if action == "status":
            await asyncio.to_thread(_print_status, place, epoch, head)
        else:
            await _rebuild(database, place, epoch, head)
    finally:
        await database.close()


def _print_status(place: IndexPlace, epoch: str, head: int) -> None:
    path = place.path_of(epoch)
    try:
        snapshot = ReadableIndex(path).snapshot()
    except IndexDamaged as error:
        raise SystemExit(f"The index is damaged: {error}") from error
    is_written = place.directory.exists() and _is_written(place)
    print(f"Directory   {path}")
    print(f"Written by  {'a running server' if is_written else 'no process at the moment'}")
    if snapshot is None:
        print(f"Indexed     nothing of {head} positions")
        return
    state = snapshot.state
    size = sum(file.stat().st_size for file in path.iterdir())
    print(f"Indexed     {_done(state)} of {max(head, state.last)} positions")
    print(f"Messages    {snapshot.searcher.num_docs - 1} with a text, {size / 2**20:.1f} MiB")
    print(f"Made        {_written_time(state.made_at)}")
    if state.stale_since:
        print(f"Has words   of texts changed or deleted since {_written_time(state.stale_since)}")


def _written_time(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _is_written(place: IndexPlace) -> bool:
    lock = place.lock()
    if lock is not None:
        place.unlock(lock)
    return lock is None


async def _rebuild(database: Database, place: IndexPlace, epoch: str, head: int) -> None:
    """Have the index made anew: by the server that writes it, or here where none does."""
    began = time.time()
    async with AsyncExitStack() as stack:
        lock = place.lock()
        if lock is None:
            if not RequestPipe(place.directory).send(Request(head, epoch, anew=True)):
                raise SystemExit(
                    "The server that writes the index is starting or ending: try again"
                )
        else:
            stack.callback(place.unlock, lock)
            executor = stack.enter_context(ThreadPoolExecutor(1))
            follower = Follower(database, place, executor)
            follower.tell(head, epoch)
            follower.ask(Request(head, epoch, anew=True))
            follower.start()
            stack.push_async_callback(follower.close)
        await _report(place, epoch, head, began)


async def _report(place: IndexPlace, epoch: str, head: int, began: float) -> None:
    """Print how far the index is until it is complete."""
    reader = ReadableIndex(place.path_of(epoch))
    is_shown = sys.stdout.isatty()
    while True:
        try:
            snapshot = await asyncio.to_thread(reader.snapshot)
        except (IndexDamaged, OSError, ValueError):  # it is being removed
            snapshot = None
        state = None if snapshot is None else snapshot.state
        is_new = state is not None and state.made_at >= began
        if not head or (state is not None and is_new and state.first == 1):
            break
        if not is_new and time.time() - began > ANSWER_SECONDS:
            raise SystemExit("The server that writes the index does not make it anew: see its log")
        if is_shown and state is not None and is_new:
            share = _done(state) / head
            bar = "#" * round(share * BAR)
            print(f"\r[{bar:<{BAR}}] {share:4.0%}", end="", flush=True)
        await asyncio.sleep(LOOK_SECONDS)
    print("\r" * is_shown + f"The index is complete: {head} positions, {time.time() - began:.1f} s")


def _done(state: State) -> int:
    return state.last - state.first + 1
