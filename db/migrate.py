"""Brings a database's tables to the version of this code."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from db.database import Database, DatabaseUnsuitable

# Several servers started at once migrate one after the other.
LOCK = "parley-migrations"
LOCK_SECONDS = 60


async def upgrade(database: Database) -> None:
    """Apply the migrations that are missing. Raises DatabaseUnsuitable, DatabaseUnavailable."""
    await database.prepare()
    async with database.write(seconds=None) as connection:  # a large table takes its time
        await connection.run_sync(_upgrade)


async def check(database: Database) -> None:
    """Raise alembic's CommandError unless the tables are what the models say."""
    async with database.write() as connection:
        await connection.run_sync(lambda sync: command.check(_config(sync)))


def _upgrade(connection: Connection) -> None:
    # On SQLite the write transaction itself keeps others out.
    if connection.dialect.name == "sqlite":
        command.upgrade(_config(connection), "head")
        return
    taken = connection.execute(
        text("SELECT GET_LOCK(:lock, :wait)"), {"lock": LOCK, "wait": LOCK_SECONDS}
    )
    if taken.scalar() != 1:
        raise DatabaseUnsuitable(f"Another process has been migrating for {LOCK_SECONDS} seconds")
    try:
        command.upgrade(_config(connection), "head")
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:lock)"), {"lock": LOCK})


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option(
        "script_location", str(Path(__file__).parent / "migrations").replace("%", "%%")
    )
    config.attributes["connection"] = connection
    return config
