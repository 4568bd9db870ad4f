"""The collector looks at what is new in small steps, also where as much ends as begins."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from server.processes import garbage
from server.processes.garbage import collect_in_steps


@pytest.fixture
async def collecting(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Steps of a hundredth of a second, and nothing collected but by them."""
    monkeypatch.setattr(garbage, "STEP_SECONDS", 0.01)
    gc.disable()
    task = asyncio.create_task(collect_in_steps())
    yield
    task.cancel()
    gc.enable()


def _young() -> int:
    return len(gc.get_objects(generation=0)) + len(gc.get_objects(generation=1))


async def test_what_is_new_does_not_pile_up(collecting: None) -> None:
    kept = [[[number]] for number in range(50_000)]
    most = len(kept)
    assert _young() > most
    for round_ in range(20):  # as much ends as begins: the count of new objects stays where it is
        for number in range(round_, len(kept), 20):
            kept[number] = [[number]]
        await asyncio.sleep(0.02)
    assert _young() < most / 5


async def test_all_is_looked_at_now_and_then(
    collecting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Knot:
        """Refers to itself."""

        alive = 0

        def __init__(self) -> None:
            self.me = self
            Knot.alive += 1

        def __del__(self) -> None:
            Knot.alive -= 1

    knot = Knot()
    gc.collect()  # old by now
    del knot
    await asyncio.sleep(0.05)
    assert Knot.alive == 1
    monkeypatch.setattr(garbage, "FULL_SECONDS", 0.02)
    monkeypatch.setattr(garbage, "MOST_WAIT_SECONDS", 0.02)
    task = asyncio.create_task(collect_in_steps())
    async with asyncio.timeout(10):
        while Knot.alive:  # noqa: ASYNC110  # the collector tells nobody
            await asyncio.sleep(0.01)
    task.cancel()
