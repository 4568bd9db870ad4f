"""Work for many, a slice at a time."""

import asyncio
from itertools import pairwise

import pytest

from events import slices
from events.slices import FIRST_ITEMS, TURNS, in_slices


async def _slice_sizes(items: int) -> list[int]:
    """Return how many items were worked on between two turns of somebody else."""
    sizes, since = list[int](), 0

    def work(_: int) -> None:
        nonlocal since
        since += 1

    task = asyncio.create_task(in_slices(range(items), work))
    while not task.done():
        await asyncio.sleep(0)
        if since:
            sizes.append(since)
            since = 0
    return sizes


async def test_each_item_is_worked_on_once_and_others_get_the_loop_between() -> None:
    sizes = await _slice_sizes(2000)
    assert sum(sizes) == 2000
    assert sizes[0] == FIRST_ITEMS
    assert all(later <= 2 * before for before, later in pairwise(sizes))


async def test_a_slice_that_took_too_long_makes_the_next_one_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    assert await _slice_sizes(30) == [FIRST_ITEMS, *[1] * (30 - FIRST_ITEMS)]


async def test_what_was_begun_runs_before_the_next_slice() -> None:
    done: list[int] = []
    running = 0

    async def one(number: int) -> None:
        nonlocal running
        for _ in range(TURNS - 1):
            await asyncio.sleep(0)
        done.append(number)
        running -= 1

    tasks: list[asyncio.Task[None]] = []

    def work(number: int) -> None:
        nonlocal running
        if number == FIRST_ITEMS:  # the first of the next slice
            assert running == 0
        running += 1
        tasks.append(asyncio.create_task(one(number)))

    await in_slices(range(FIRST_ITEMS + 1), work)
    await asyncio.gather(*tasks)
    assert sorted(done) == [*range(FIRST_ITEMS + 1)]
