"""Work that a process does by itself: at intervals, or again until the database answers."""

import asyncio
from collections.abc import Awaitable, Callable
from logging import Logger

from db.engines.database import DatabaseUnavailable
from resolvers.errors import Unavailable

RETRY_SECONDS = 0.5

_running: set[asyncio.Task[None]] = set()  # the loop itself keeps no task alive


async def repeat(
    work: Callable[[], Awaitable[None]], *, every: float, logger: Logger, failure: str
) -> None:
    """Do the work for ever, with so many seconds in between. What fails is logged."""
    while True:
        try:
            await work()
        except (Unavailable, DatabaseUnavailable) as error:
            logger.warning("%s; trying again later: %r", failure, error.__cause__ or error)
        except Exception:
            logger.exception("%s; trying again later", failure)
        await asyncio.sleep(every)


def start_retried(
    work: Callable[[], Awaitable[None]], *, name: str, logger: Logger, failure: str
) -> None:
    """Start the work in a task, which tries again until the database answers."""
    task = asyncio.create_task(_retry(work, logger, failure), name=name)
    _running.add(task)
    task.add_done_callback(_running.discard)


async def _retry(work: Callable[[], Awaitable[None]], logger: Logger, failure: str) -> None:
    while True:
        try:
            return await work()
        except (Unavailable, DatabaseUnavailable) as error:
            logger.warning("%s; trying again (%r)", failure, error)
            await asyncio.sleep(RETRY_SECONDS)
