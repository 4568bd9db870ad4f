"""Waiting for what no message tells: another process's state, or a reader's place."""

import asyncio
from collections.abc import Callable

LOOK_SECONDS = 0.02


async def until(condition: Callable[[], bool], seconds: float) -> None:
    """Return as soon as it is true. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # nobody here could set an event
            await asyncio.sleep(LOOK_SECONDS)
