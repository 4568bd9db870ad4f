"""What a test has left open fails that test, not the run at its end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

CLOSE_SECONDS = 2.0


@pytest.fixture(autouse=True)
async def left_open() -> AsyncIterator[None]:
    """Fail where a connection is open after the test that was not before it.

    The loop lasts as long as the run and keeps its connections alive: the collector finds none.
    """
    loop: Any = asyncio.get_running_loop()
    before = [*loop._transports.values()]
    yield

    def left() -> list[Any]:
        # One that is closing may still wait for its peer to read: it has its socket yet.
        found = [each for each in loop._transports.values() if each._sock is not None]
        return [each for each in found if each not in before]

    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            while left():  # noqa: ASYNC110  # no event says so
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"left open: {left()}")
