"""Whether each replica answers, follows our database, and how far it is behind."""

import asyncio

from commands.checking.findings import Finding, note, ok, wrong
from db import facts
from db.engines.database import Database, DatabaseUnavailable, DatabaseUnsuitable
from settings import Settings

WAIT_SECONDS = 5.0


async def check_replicas(settings: Settings) -> list[Finding]:
    """Return how the replicas are; where the database is away, only whether they answer."""
    if not settings.replicas:
        return []
    try:
        ours = await _cursor(settings.database)
    except (DatabaseUnavailable, DatabaseUnsuitable):
        ours = None
    return [await _check(url, ours) for url in settings.replicas]


async def _check(url: str, ours: tuple[str, int] | None) -> Finding:
    try:
        database = Database(url, pool_size=1, says=False)
    except DatabaseUnsuitable as error:
        return wrong(str(error), "correct DB_REPLICA_URLS")
    place = f"replica {database.url.host}:{database.url.port or 3306}"
    await database.close()
    try:
        epoch, head = await _cursor(url)
    except DatabaseUnavailable as error:
        remedy = "start it, or correct DB_REPLICA_URLS; until then the database is read instead"
        return wrong(f"{place}: {error}", remedy)
    if ours is not None and epoch != ours[0]:
        remedy = "have it follow the database that is written; until then it is never read"
        return wrong(f"{place} follows another database, or an older copy", remedy)
    if ours is not None and head < ours[1]:
        said = f"{place} is behind by {ours[1] - head:,} positions"
        return note(said, "if it stays so, look at its replication: the database is read instead")
    return ok(place)


async def _cursor(url: str) -> tuple[str, int]:
    """Return the log's epoch and last position. Raises DatabaseUnavailable, DatabaseUnsuitable."""
    database = Database(url, pool_size=1, says=False)
    try:
        async with asyncio.timeout(WAIT_SECONDS), database.read() as connection:
            return await facts.read_cursor(connection)
    except TimeoutError as error:
        raise DatabaseUnavailable("no answer in time") from error
    except DatabaseUnavailable:
        raise
    except Exception as error:  # its tables are of another version, or are not there
        raise DatabaseUnavailable("it has no log of Parley's") from error
    finally:
        await database.close()
