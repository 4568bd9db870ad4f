"""aiosqlite, the sqlite3 under it, and how SQLAlchemy lends its connections."""

import asyncio
import sqlite3
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engines.sqlite import _Releasing, sqlite_engine


def _engine(tmp_path: Path, *, writes: bool = False) -> AsyncEngine:
    url = make_url(f"sqlite+aiosqlite:///{tmp_path / 'seam.db'}")
    return sqlite_engine(url, pool_size=2, wait_seconds=1, writes=writes)


async def _driver(connection: Any) -> Any:
    return connection.sync_connection.connection.driver_connection


async def test_the_drivers_connection_is_aiosqlites(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    async with engine.connect() as connection:
        driver = await _driver(connection)
        assert isinstance(driver, aiosqlite.Connection)
        # `factory` among the arguments reaches sqlite3, which makes a connection of our class.
        assert isinstance(driver._conn, _Releasing)
        # db/engines/statements.py asks so: one turn of the driver's thread, not three.
        assert [*await driver.execute_fetchall("SELECT ?, 2", (1,))] == [(1, 2)]
    await engine.dispose()


async def test_a_connection_that_was_stopped_gives_a_second_stop_no_answer(tmp_path: Path) -> None:
    # Why `_stop_once` (db/engines/sqlite.py) is there; when this fails it can go.
    driver = await aiosqlite.connect(tmp_path / "own.db")
    first, second = driver.stop(), driver.stop()
    assert first is not None
    assert second is not None
    await asyncio.wait_for(first, 10)
    done, _ = await asyncio.wait({second}, timeout=0.2)
    assert not done
    second.cancel()


async def test_ours_may_be_stopped_twice(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    async with engine.connect() as connection:
        driver = await _driver(connection)
        await asyncio.wait_for(driver.stop(), 10)
        assert driver.stop() is None
        await connection.invalidate()
    await engine.dispose()


async def test_a_writing_connection_begins_at_once(tmp_path: Path) -> None:
    engine = _engine(tmp_path, writes=True)
    async with engine.begin() as connection:
        driver = await _driver(connection)
        assert driver.in_transaction
    await engine.dispose()


@pytest.mark.parametrize("factory", [sqlite3.Connection, _Releasing])
def test_only_ours_lets_go_of_its_lock_when_it_is_closed_amid_rows(
    tmp_path: Path, factory: type[sqlite3.Connection]
) -> None:
    # Where sqlite3's own lets go as well, `_Releasing` (db/engines/sqlite.py) can go.
    path = tmp_path / "lock.db"
    one = sqlite3.connect(path, isolation_level=None, factory=factory)
    one.execute("CREATE TABLE t (n INTEGER)")
    one.execute("INSERT INTO t VALUES (1), (2)")
    one.execute("BEGIN IMMEDIATE")
    rows = one.execute("UPDATE t SET n = n + 1 RETURNING n")
    rows.fetchone()
    one.close()
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    expected = nullcontext() if factory is _Releasing else pytest.raises(sqlite3.OperationalError)
    with expected:
        other.execute("BEGIN IMMEDIATE")
    other.close()


def test_an_error_has_its_code() -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("SELECT x")
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_ERROR
    connection.close()
