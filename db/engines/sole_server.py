"""One server for each SQLite file: two would not hear each other's messages."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

from db.engines.database import DatabaseUnsuitable


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
