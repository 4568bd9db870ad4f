"""One server for each SQLite file: two would not hear each other's messages."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

from sqlalchemy import make_url, text

from db.engines.database import Database, DatabaseUnsuitable

# A connection of a process that was just killed is there a little longer.
OTHERS_SECONDS = 15.0


@contextmanager
def sole_server(url: str) -> Iterator[None]:
    """Hold a SQLite database as its only server; commands that administer it need no hold.

    The hold ends with the process, however that ends. Raises DatabaseUnsuitable when another
    server has it. A MySQL database may have many servers: they hear each other through Redis.
    """
    database = make_url(url)
    if database.get_backend_name() != "sqlite" or not database.database:
        yield
        return
    path = Path(f"{database.database}.server")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DatabaseUnsuitable(
                f"process {file.read().strip() or 'unknown'} serves {database.database} already."
                " Several servers need MySQL or MariaDB (DB_HOST) and REDIS_URL"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


@contextmanager
def sole_user(url: str) -> Iterator[None]:
    """Hold SQLite's file for a command that replaces what its server would serve.

    Raises DatabaseUnsuitable while a server runs.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(sole_server(url))
        except DatabaseUnsuitable as error:
            raise DatabaseUnsuitable(f"{error}. Stop the server first") from error
        yield


async def wait_until_unserved(database: Database) -> None:
    """Wait until nobody else uses MySQL's database. Raises DatabaseUnsuitable where they stay."""
    if database.is_sqlite:
        return
    await database.prepare()
    deadline = monotonic() + OTHERS_SECONDS
    while others := await _others(database):
        if monotonic() > deadline:
            raise DatabaseUnsuitable(
                f"{others} other connections use it: stop the servers that run on it first"
            )
        await asyncio.sleep(0.5)


async def _others(database: Database) -> int:
    async with database.read() as connection:
        found = await connection.execute(
            text(
                "SELECT COUNT(*) FROM information_schema.processlist"
                " WHERE db = DATABASE() AND id <> CONNECTION_ID()"
            )
        )
        return int(found.scalar_one())
