"""What all subscriptions of a process load together."""

import asyncio
from collections.abc import Sequence

from schema.loaders import SharedLoader


async def load(keys: Sequence[int]) -> list[int]:
    return [key * 10 for key in keys]


async def test_who_leaves_as_a_load_begins_stops_no_later_load() -> None:
    loader = SharedLoader[int, int](load)
    leaving = asyncio.ensure_future(loader.load(1))
    leaving.cancel()  # before the loop has begun the batch
    async with asyncio.timeout(10):
        await asyncio.wait([leaving])
        assert await loader.load(2) == 20


async def test_who_leaves_during_a_load_takes_nothing_from_the_others() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def load_later(keys: Sequence[int]) -> list[int]:
        begun.set()
        await go_on.wait()
        return await load(keys)

    loader = SharedLoader[int, int](load_later)
    leaving, staying = (asyncio.ensure_future(loader.load(key)) for key in (1, 2))
    async with asyncio.timeout(10):
        await begun.wait()
        leaving.cancel()
        go_on.set()
        assert await staying == 20
    assert leaving.cancelled()


async def test_a_failure_reaches_those_who_still_wait() -> None:
    async def fail(keys: Sequence[int]) -> list[int]:
        raise LookupError

    loader = SharedLoader[int, int](fail)
    leaving, staying = (asyncio.ensure_future(loader.load(key)) for key in (1, 2))
    leaving.cancel()
    found = await asyncio.gather(staying, return_exceptions=True)
    assert isinstance(found[0], LookupError)
