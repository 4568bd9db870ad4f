"""`main.py import`: move the accounts and messages of the older server into an empty database."""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import URL

from commands import command_line
from commands.moving.move import Done, Options, find_tables, move, opened
from commands.moving.names import understood
from commands.moving.report import Tell
from commands.moving.source import open_url
from db import migrate
from db.engines.database import Database, DatabaseUnsuitable
from db.engines.sole_server import sole_user, wait_until_unserved
from db.private import FILE_MODE, open_directory
from settings import Settings

# A look-up of so many pairs of people is what SQLite takes in one statement.
MOST_ROWS = 10_000
STOPPED = 130  # as a shell counts Ctrl+C


def add_parser(commands: Any) -> None:
    """Add the command and its words to the command line."""
    parser = commands.add_parser(
        "import",
        help="move in from the older server: its accounts and messages",
        description="Move the accounts and messages of the older server into the database of the"
        " settings, which must be empty. Stop both servers first. Killed at any point, it goes on"
        " from there when it is run again.",
        epilog=understood(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="URL",
        help="its database: mysql://user:password@host/chat_app, or sqlite:///file; - reads the"
        " address from standard input, so that no list of processes shows the password",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="look at every row, and write nothing"
    )
    parser.add_argument(
        "--list",
        metavar="FILE",
        help="write a line for each row that is changed or left out, also with --dry-run",
    )
    parser.add_argument(
        "--time-zone", default="UTC", metavar="NAME", help="of times without one (UTC)"
    )
    parser.add_argument(
        "--rows", type=int, default=2000, help="how many rows a transaction has (2000)"
    )


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Move everything, and print the report."""
    written = sys.stdin.readline().strip() if options.source == "-" else options.source
    try:
        zone = ZoneInfo(options.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SystemExit(f"--time-zone: there is no zone {options.time_zone!r}") from error
    if not 1 <= options.rows <= MOST_ROWS:
        raise SystemExit(f"--rows must be 1 to {MOST_ROWS}")
    how = Options(zone, options.rows, settings.max_message_bytes)
    began = monotonic()
    with _listing(options.list) as tell:
        if options.dry_run:
            done = asyncio.run(_look(written, how, tell))
        else:
            if settings.keeps_files:
                open_directory(settings.data_dir, name="DATA_DIR")
            with sole_user(settings.database), _stoppable():
                done = asyncio.run(_move(written, settings.database, how, tell))
    _print(done, monotonic() - began, settings, is_dry=options.dry_run)


async def _look(written: str, options: Options, tell: Tell | None) -> Done:
    async with opened(open_url(written)) as source:
        return await move(source, await find_tables(source), None, options, tell=tell)


async def _move(written: str, url: str, options: Options, tell: Tell | None) -> Done:
    database = Database(url)
    try:
        async with opened(open_url(written)) as source:
            _check_two(source.url, database.url)
            tables = await find_tables(source)  # before the target is touched
            await wait_until_unserved(database)
            await migrate.upgrade(database, importing=True)
            return await move(source, tables, database, options, tell=tell)
    finally:
        await database.close()


def _check_two(source: URL, target: URL) -> None:
    """Raise DatabaseUnsuitable where both addresses name one database."""
    same = ("host", "port", "database")
    if source.get_backend_name() == target.get_backend_name() and all(
        _part(source, name) == _part(target, name) for name in same
    ):
        raise DatabaseUnsuitable(
            "--from is the database that is moved into. Parley needs one of its own: name an empty"
            " or a new database in DB_NAME or DATABASE_URL"
        )


def _part(url: URL, name: str) -> object:
    value = getattr(url, name)
    if name == "port" and url.get_backend_name() != "sqlite":
        return value or 3306
    if name == "database" and url.get_backend_name() == "sqlite":
        return os.path.realpath(str(value))
    return value


@contextmanager
def _stoppable() -> Iterator[None]:
    """Have Ctrl+C say that nothing is lost, instead of a traceback."""
    try:
        yield
    except KeyboardInterrupt as error:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        raise SystemExit(STOPPED) from error


@contextmanager
def _listing(path: str | None) -> Iterator[Tell | None]:
    """Open the file of --list, which nobody else may read, and yield what writes a line."""
    if path is None:
        yield None
        return
    file: TextIO
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with open(os.open(path, flags, FILE_MODE), "a", encoding="utf-8") as file:
        yield lambda line: print(line, file=file)


def _print(done: Done, seconds: float, settings: Settings, *, is_dry: bool) -> None:
    if done.was_done_before:
        print("This import has come to its end before. Nothing was done; it had moved:")
    elif is_dry:
        print("A dry run: nothing was written. The import would report:")
    print("\n".join(done.report.lines()))
    if done.conversations is not None:
        print(f"{done.conversations:,} conversations of two people. It took {seconds:,.0f} s.")
        print(f"Start the server: {command_line()} serve")
