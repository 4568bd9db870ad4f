"""Copied tables are what the migrations make."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from db import migrate
from db.facts import read_cursor
from tests.conftest import fresh_database_url
from tests.db.rows import open_database
from tests.support import snapshots
from tests.support.tables import make_tables


async def test_copied_tables_are_the_migrated_ones(
    engine: str, database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)  # the copied ones may be older than this test
    urls = [database_url, *(fresh_database_url(engine, request, tmp_path) for _ in range(2))]
    for url in urls[1:]:
        await make_tables(url)
    found, epochs = [], set()
    for url in urls:
        database = open_database(url)
        await migrate.upgrade(database)
        await migrate.check(database)
        found.append(snapshots.comparable(await snapshots.take(database), since))
        async with database.read() as connection:
            epochs.add((await read_cursor(connection))[0])
        await database.close()
    assert found[0] == found[1] == found[2]
    assert len(found[0].tables) > 10
    assert len(epochs) == len(urls)
