"""`main.py backup`: the database and the files beside it, in a directory; a server may run."""

import argparse
import logging
from pathlib import Path
from typing import Any

from commands.backups.making import make_backup
from commands.backups.manifest import BackupUnusable
from settings import Settings

logger = logging.getLogger("parley.backup")

STOPPED = 130  # as a shell counts Ctrl+C


def add_parser(commands: Any) -> None:
    """Add the command and its words to the command line."""
    parser = commands.add_parser(
        "backup",
        help="copy the database and the files into a directory, while the server runs",
        description="Copies SQLite's database at one moment, every file that it names, and the"
        " generated secret. With MySQL or MariaDB it copies the files: run it after the database's"
        " own tool. docs/operate/backup.md shows both, and how to restore.",
    )
    parser.add_argument(
        "--to", required=True, type=Path, metavar="DIR", help="a directory, new or empty"
    )


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Make a backup, and say what is in it."""
    try:
        made = make_backup(settings, options.to)
    except BackupUnusable as error:
        raise SystemExit(f"No backup was made: {error}") from error
    except KeyboardInterrupt as error:
        raise SystemExit(STOPPED) from error
    if made.missing:
        logger.warning(
            "%d files were missing from the store before the backup; %s names them",
            len(made.missing),
            options.to / "manifest.json",
        )
    database = "the database and " if made.engine == "sqlite" else ""
    print(
        f"{options.to} has {database}{made.beside:,} files, {made.bytes:,} bytes:"
        f" the log up to {made.position:,}, tables of version {made.schema}."
    )
    if made.engine == "mysql":
        print("The database itself is not in it: docs/operate/backup.md")
