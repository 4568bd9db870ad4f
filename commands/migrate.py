"""`main.py migrate`: make the database's tables, or bring them up to date."""

import argparse
import asyncio
import logging
import time
from typing import Any

from db import migrate
from db.engines.database import Database, DatabaseUnavailable
from db.engines.remains import rewrite_once
from settings import Settings

logger = logging.getLogger("parley.main")

# How often a database that does not answer yet is asked again.
RETRY_SECONDS = 1.0


def add_parser(commands: Any) -> None:
    """Add the command and its words to the command line."""
    parser = commands.add_parser("migrate", help="make or upgrade the database's tables")
    parser.add_argument(
        "--check", action="store_true", help="then fail unless they are what the models say"
    )


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Upgrade the tables; with --check compare them with the models afterwards."""
    upgrade_tables(settings, check=options.check)


def upgrade_tables(settings: Settings, *, check: bool = False) -> None:
    """Upgrade the tables, outside any loop. Raises what db/migrate.py does."""
    asyncio.run(_upgrade_tables(settings, check=check))


async def _upgrade_tables(settings: Settings, *, check: bool) -> None:
    database = Database(settings.database)
    try:
        await _upgrade_when_it_answers(database, settings.wait_for_db_seconds)
        await rewrite_once(database)
        if check:
            await migrate.check(database)
    finally:
        await database.close()


async def _upgrade_when_it_answers(database: Database, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            return await migrate.upgrade(database, stoppable=True)
        except DatabaseUnavailable as error:
            if time.monotonic() >= deadline:
                raise
            logger.warning("Waiting for the database: %s", error)
        await asyncio.sleep(RETRY_SECONDS)
