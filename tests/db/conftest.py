"""A database with its tables made, on each engine; a MariaDB server that tests may break."""

from collections.abc import AsyncIterator, Iterator

import pytest

from db import migrate
from db.engines.database import Database
from tests.db.rows import open_database
from tests.support.mariadb import MariaDB, mariadb_server
from tests.support.tables import make_tables


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database of the test's own, on each engine."""
    database = open_database(database_url)
    await make_tables(database_url)
    await migrate.upgrade(database)
    yield database
    await database.close()


@pytest.fixture(scope="package")
def breakable_mariadb() -> Iterator[MariaDB]:
    """A MariaDB server that may be killed, paused and started again: leave it running."""
    with mariadb_server(durable=True) as server:
        yield server
