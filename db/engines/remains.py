"""Removes what SQLite's files still hold of data that was overwritten or deleted.

InnoDB has no such means: it purges deleted rows in the background, and their bytes stay until their
place is used again (docs/security.md).
"""

import asyncio
import logging

from sqlalchemy import text

from db.engines.database import Database, DatabaseUnavailable

logger = logging.getLogger("parley.db")

TRIES = 20
TRY_SECONDS = 0.1
# Nobody can write while the log is being emptied: wait for readers no longer than this.
WAIT_MS = 100
USUAL_WAIT_MS = 10_000
# `PRAGMA user_version` of a file that was never written to without secure_delete.
CLEAN = 1
# A larger file is not rewritten at a start, which would take minutes and as much room again.
MAX_REWRITTEN_BYTES = 1024**3


async def empty_write_ahead_log(database: Database) -> bool:
    """Empty SQLite's write-ahead log, which holds overwritten data; return whether it is empty.

    Raises DatabaseUnavailable.
    """
    if not database.is_sqlite:
        return True
    for _ in range(TRIES):
        async with database.read() as connection:
            await connection.execute(text(f"PRAGMA busy_timeout = {WAIT_MS:d}"))
            try:
                checkpoint = await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
                [is_busy, *_] = checkpoint.one()
                await connection.execute(text(f"PRAGMA busy_timeout = {USUAL_WAIT_MS:d}"))
            except BaseException:
                await connection.invalidate()  # the next caller would wait too short a time
                raise
        if not is_busy:
            return True
        await asyncio.sleep(TRY_SECONDS)  # somebody reads from it
    logger.warning("The write-ahead log is in use; what was erased leaves it with the next sweep")
    return False


async def rewrite_once(database: Database) -> None:
    """Rewrite a SQLite file that was used by a Parley which did not overwrite what it removed."""
    if not database.is_sqlite:
        return
    try:
        async with database.read(seconds=3600) as connection:
            version = (await connection.execute(text("PRAGMA user_version"))).scalar()
            if version == CLEAN:
                return
            path = database.url.database
            pages = (await connection.execute(text("PRAGMA page_count"))).scalar() or 0
            page = (await connection.execute(text("PRAGMA page_size"))).scalar() or 0
            if pages * page > MAX_REWRITTEN_BYTES:
                logger.warning(
                    "%s may hold remains of accounts that were deleted by an earlier Parley; stop"
                    " the server and run: sqlite3 %s 'VACUUM; PRAGMA user_version = %d'",
                    path,
                    path,
                    CLEAN,
                )
                return
            await connection.execute(text("VACUUM"))
            await connection.execute(text(f"PRAGMA user_version = {CLEAN:d}"))
    except DatabaseUnavailable as error:
        logger.warning("The database could not be rewritten; the next start tries again: %s", error)
    else:
        await empty_write_ahead_log(database)
