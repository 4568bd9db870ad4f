"""Connections as they are lent: a caller who was cancelled meanwhile gets none."""

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.database import Database


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
