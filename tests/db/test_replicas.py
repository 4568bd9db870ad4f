"""What a replica must be to be read; the servers that lag and die are in tests/faults/clusters."""

import asyncio
import logging
from collections.abc import AsyncIterator
from itertools import count
from typing import NamedTuple

import pytest

from db import facts, migrate, replicas
from db.engines.database import Database
from db.replicas import Replicas, _SharedRead
from tests.db.rows import add_messages, add_users, open_database
from tests.faults.waits import until
from tests.support.mariadb import MariaDB
from tests.support.ports import free_port
from tests.support.tables import make_tables

_names = count(1)


class Place(NamedTuple):
    """A database with three messages, and its epoch."""

    url: str
    database: Database
    epoch: str


@pytest.fixture
async def place(mariadb: MariaDB) -> AsyncIterator[Place]:
    """One that stands for its replica too."""
    url = mariadb.url(f"replicas{next(_names)}")
    await make_tables(url)
    database = open_database(url)
    await migrate.upgrade(database)
    [user] = await add_users(database, 1)
    await add_messages(database, [(user, None)] * 3)
    async with database.read() as connection:
        epoch, _ = await facts.read_cursor(connection)
    yield Place(url, database, epoch)
    await database.close()


async def _lends(found: Replicas, epoch: str, position: int) -> bool:
    async with found.reading(epoch, position) as connection:
        return connection is not None


async def test_a_replica_is_read_up_to_the_position_that_it_has(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "LAGS_SECONDS", 0.1)
    found = Replicas([place.url], place.database, pool_size=2)
    assert found
    assert await found.head() == 3
    assert await _lends(found, place.epoch, 3)
    assert not await _lends(found, place.epoch, 4)
    # It is left alone now, and asked again a while later.
    assert not await _lends(found, place.epoch, 3)
    await asyncio.sleep(replicas.LAGS_SECONDS)
    assert await _lends(found, place.epoch, 3)
    assert not await _lends(found, "another", 3)
    await found.close()


async def test_a_replica_that_gets_the_position_meanwhile_is_waited_for(place: Place) -> None:
    found = Replicas([place.url], place.database, pool_size=2)
    reading = asyncio.create_task(_lends(found, place.epoch, 4))
    async with place.database.write() as connection:
        await facts.move_head(connection, 4, 0)
    assert await reading
    await found.close()


async def test_another_replica_is_read_where_one_does_not_answer(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "parley.db")
    dead = f"mysql+asyncmy://u:hidden@127.0.0.1:{free_port()}/x"
    found = Replicas([dead, place.url], place.database, pool_size=2)
    for _ in range(6):
        assert await _lends(found, place.epoch, 3)
    lines = [record.getMessage() for record in caplog.records if "replica" in record.getMessage()]
    [line] = lines
    assert "does not answer" in line
    assert "hidden" not in caplog.text
    await found.close()


async def test_without_the_database_the_head_is_not_known(place: Place) -> None:
    away = Database(f"mysql+asyncmy://u:p@127.0.0.1:{free_port()}/x")
    found = Replicas([place.url], away, pool_size=2)
    assert await found.head() is None
    assert await _lends(found, place.epoch, 3)
    await found.close()
    await away.close()


async def test_a_reader_that_is_cancelled_gives_its_connection_back(place: Place) -> None:
    found = Replicas([place.url], place.database, pool_size=1)

    async def read() -> None:
        async with found.reading(place.epoch, 3) as connection:
            assert connection is not None
            await asyncio.Event().wait()

    for _ in range(5):
        reader = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    assert await _lends(found, place.epoch, 3)
    await found.close()


async def test_those_who_ask_at_once_share_a_reading_that_began_after_they_asked() -> None:
    begun = 0
    goes_on = asyncio.Event()

    async def read() -> int:
        nonlocal begun
        begun += 1
        number = begun
        await goes_on.wait()
        return number

    shared = _SharedRead(read)
    first = asyncio.create_task(shared.from_now_on())
    await until(lambda: begun == 1, 1)
    # The reading under way began before these ask.
    others = [asyncio.create_task(shared.from_now_on()) for _ in range(10)]
    await asyncio.sleep(0)
    goes_on.set()
    assert await first == 1
    assert await asyncio.gather(*others) == [2] * 10
    assert begun == 2


async def test_a_reading_that_is_cancelled_leaves_the_others_theirs() -> None:
    goes_on = asyncio.Event()

    async def read() -> int:
        await goes_on.wait()
        return 7

    shared = _SharedRead(read)
    first, *others = [asyncio.create_task(shared.from_now_on()) for _ in range(4)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    assert await asyncio.gather(*others) == [7] * 3
