"""`main.py restore`: put a backup back, and have every client begin anew."""

import argparse
import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from commands.backups.contents import read_contents
from commands.backups.manifest import BackupUnusable, read_manifest
from commands.backups.restoring import Restoring
from commands.backups.unfinished import check_finished
from db import migrate
from db.engines.database import Database
from db.engines.sole_server import sole_user, wait_until_unserved
from db.restored import NewLog, begin_anew
from settings import Settings

STOPPED = 130  # as a shell counts Ctrl+C


def add_parser(commands: Any) -> None:
    """Add the command and its words to the command line."""
    parser = commands.add_parser(
        "restore",
        help="put a backup back; stop the server first",
        description="Puts back what `backup` has copied, and gives the log a new epoch: clients"
        " query anew instead of resuming into another history. After the database's own tool has"
        " put a copy back, --epoch does the second part alone. docs/operate/backup.md shows both.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--from", dest="source", type=Path, metavar="DIR", help="a backup")
    what.add_argument(
        "--epoch",
        action="store_true",
        help="the database was put back already: only give its log a new epoch",
    )
    parser.add_argument("--force", action="store_true", help="replace the data that is there")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Restore, and say how the log goes on."""
    try:
        if options.epoch:
            check_finished(settings)
            _check_there(settings.database)
        with sole_user(settings.database):
            if options.epoch:
                print(_told(asyncio.run(_begin_anew(settings.database))))
            else:
                _restore(settings, options.source, force=options.force)
    except BackupUnusable as error:
        raise SystemExit(f"Nothing was restored: {error}") from error
    except KeyboardInterrupt as error:
        raise SystemExit(STOPPED) from error


def _check_there(url: str) -> None:
    """Raise BackupUnusable where there is no SQLite file; to look would make an empty one."""
    place = make_url(url)
    if place.get_backend_name() == "sqlite" and not Path(place.database or "").is_file():
        raise BackupUnusable(f"There is no database at {place.database}")


def _restore(settings: Settings, source: Path, *, force: bool) -> None:
    manifest = read_manifest(source)
    restoring = Restoring(settings, source, manifest)
    restoring.check(force=force)
    is_mysql = manifest.engine == "mysql"
    if is_mysql:  # before a file is replaced: this may be refused
        asyncio.run(_check_tables(settings.database))
    log = restoring.restore()
    if log is None:
        log = asyncio.run(_begin_anew(settings.database))
    print(
        f"Restored the backup of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC:"
        f" the log up to {manifest.position:,}, tables of version {manifest.schema},"
        f" {manifest.beside:,} files."
    )
    print(_told(log))


def _told(log: NewLog) -> str:
    newest = f"The log goes on past {log.position:,}, under "
    if not log.epoch:
        return f"{newest}an epoch that the upgrade of its tables makes."
    return f"{newest}the new epoch {log.epoch}: clients query anew."


async def _check_tables(url: str) -> None:
    """Raise BackupUnusable unless MySQL's database was put back, and nobody uses it."""
    database = Database(url)
    try:
        await wait_until_unserved(database)
        async with database.write() as connection:
            schema = (await connection.run_sync(read_contents)).schema
        known = migrate.versions()
        if schema not in known:
            raise BackupUnusable(
                f"The database's tables are of a newer Parley (version {schema}; this one knows up"
                f" to {known[-1]})"
            )
    finally:
        await database.close()


async def _begin_anew(url: str) -> NewLog:
    """Give the log another epoch. The last entry says when the copy was made: no manifest can."""
    await _check_tables(url)
    database = Database(url)
    try:
        async with database.write(seconds=None) as connection:
            return await connection.run_sync(
                lambda found: begin_anew(found, copied_at=None, now=datetime.now(UTC))
            )
    finally:
        await database.close()
