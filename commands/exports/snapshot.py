"""One moment of the database, which an export reads while the server goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.database import Database

# An export of everything may take so long.
SECONDS = 24 * 3600
# Rows that are in memory at once.
ROWS = 500


@asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[AsyncConnection]:
    """Lend a connection whose statements all see the database as it was at the first of them.

    SQLite keeps what is written meanwhile in its write-ahead log, which grows until the end.
    """
    async with database.read(seconds=SECONDS) as connection:
        if database.is_sqlite:
            await connection.exec_driver_sql("BEGIN")
        else:
            # A reader whose disk is slow is waited for.
            await connection.execute(text("SET SESSION net_write_timeout = 3600"))
            await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            await connection.execute(text("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"))
        try:
            yield connection
        finally:
            await connection.exec_driver_sql("ROLLBACK")


async def stream(connection: AsyncConnection, query: Any) -> AsyncIterator[dict[str, Any]]:
    """Yield a query's rows, with few of them in memory."""
    options = {"yield_per": ROWS}
    async with connection.stream(query, execution_options=options) as rows:
        async for row in rows.mappings():
            yield dict(row)
