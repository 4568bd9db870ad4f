"""Connections as they are lent: a caller who was cancelled meanwhile gets none."""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines import sqlite as sqlite_module
from db.engines.database import Database
from tests.db.rows import open_database


async def test_a_cancellation_that_the_driver_loses_while_it_connects_is_not_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = AsyncConnection.start

    async def start_and_lose(connection: AsyncConnection) -> AsyncConnection:
        started = await start(connection)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        return started

    async def read() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))

    await database._readers.clear()
    with monkeypatch.context() as patch:
        patch.setattr(AsyncConnection, "start", start_and_lose)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(read())
    for _ in range(12):  # more than the pool has: none was kept
        await read()


async def test_a_caller_that_goes_away_while_a_file_is_opened_leaves_it_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    class Slow(sqlite_module._Releasing):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            begun.set()
            assert go_on.wait(10)
            super().__init__(*arguments, **options)

        def close(self) -> None:
            super().close()
            closed.set()

    database = open_database(f"sqlite+aiosqlite:///{tmp_path}/chat.db")
    monkeypatch.setattr(sqlite_module, "_Releasing", Slow)
    engine = database._engine(1, writes=False)

    async def read() -> None:
        async with engine.connect():
            pass

    reading = asyncio.create_task(read())
    assert await asyncio.to_thread(begun.wait, 10)
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    go_on.set()
    assert await asyncio.to_thread(closed.wait, 10)
    await engine.dispose()
    await database.close()
