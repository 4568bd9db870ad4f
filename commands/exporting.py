"""`main.py export`: one user's data, or everything, as JSON and files; a server may run."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from commands.exports.everything import export_everything
from commands.exports.folder import Folder
from commands.exports.person import export_person
from db import migrate
from db.engines.database import Database
from db.files import FileStore, StoreUnavailable
from resolvers.errors import ParleyError
from resolvers.guards.validation import clean_email
from settings import Settings


def add_parser(commands: Any) -> None:
    """Add the command and its words to the command line."""
    parser = commands.add_parser(
        "export", help="write one user's data, or everything, as JSON and files"
    )
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument(
        "--user", metavar="EMAIL", help="the data of this user, to hand to them: no password hash"
    )
    whose.add_argument(
        "--all",
        action="store_true",
        help="every table and file, password hashes too: keep it like the database",
    )
    parser.add_argument(
        "--to", required=True, type=Path, metavar="DIR", help="a directory, new or empty"
    )


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Write the export, as the database is at one moment, and say what it has."""
    url = make_url(settings.database)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        raise SystemExit(f"There is no database at {url.database}")
    try:
        print(asyncio.run(_export(settings, options)))
    except StoreUnavailable as error:
        raise SystemExit(f"The store of files does not answer: {error}") from error
    except ParleyError as error:
        raise SystemExit(error.message) from error


async def _export(settings: Settings, options: argparse.Namespace) -> str:
    database = Database(settings.database)
    files = FileStore(settings.storage)
    try:
        await migrate.upgrade(database)  # the tables of an older Parley are not ours yet
        if options.all:
            done = await export_everything(database, files, Folder(options.to))
            rows = sum(done["tables"].values())
            return f"{rows:,} rows of {len(done['tables'])} tables, and {done['files']:,} files."
        email = clean_email(options.user)
        folder = Folder(options.to)
        found = await export_person(
            database,
            files,
            folder,
            email,
            shows_all_broadcasts=settings.broadcast_history == "everything",
        )
        if found is None:
            folder.path.rmdir()
            raise SystemExit(f"There is no account with the e-mail {email}")
        return f"{found.messages:,} messages and {found.files:,} files."
    finally:
        await database.close()
