"""Costly reads: a few of one user at once, in turn, and nobody waits for another."""

import asyncio

import pytest

from resolvers.errors import RateLimited
from resolvers.guards.limits import read_slots
from resolvers.guards.limits.read_slots import ReadSlots


class Reads:
    """Reads that end when they are told to."""

    def __init__(self, slots: ReadSlots) -> None:
        self.slots = slots
        self.running: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    def begin(self, name: str, user_id: int = 1) -> "asyncio.Task[None]":
        self.gates[name] = asyncio.Event()

        async def read() -> None:
            async with self.slots.hold(user_id):
                self.running.append(name)
                try:
                    await self.gates[name].wait()
                finally:
                    self.running.remove(name)

        return asyncio.create_task(read())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_few_run_at_once_and_the_others_in_their_turn() -> None:
    reads = Reads(ReadSlots(2))
    tasks = [reads.begin(name) for name in "abcd"]
    other = reads.begin("other", 2)
    await settle()
    assert reads.running == ["a", "b", "other"]
    reads.gates["b"].set()
    await settle()
    assert reads.running == ["a", "other", "c"]
    for gate in reads.gates.values():
        gate.set()
    await asyncio.gather(*tasks, other)
    assert not reads.slots._reads
    assert not reads.slots._slots


@pytest.mark.parametrize("released", [False, True])
async def test_a_cancelled_read_gives_its_place_on(released: bool) -> None:
    reads = Reads(ReadSlots(1))
    tasks = {name: reads.begin(name) for name in "abc"}
    await settle()
    if released:
        tasks["a"].cancel()
        await asyncio.gather(tasks["a"], return_exceptions=True)
        tasks["b"].cancel()  # it has been handed the place, and has not run since
    else:
        tasks["b"].cancel()
        await asyncio.gather(tasks["b"], return_exceptions=True)
        reads.gates["a"].set()
    await settle()
    assert reads.running == ["c"]
    reads.gates["c"].set()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    assert not reads.slots._reads


async def test_beyond_the_queue_a_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_slots, "MAX_WAITING", 2)
    reads = Reads(ReadSlots(1))
    tasks = [reads.begin(name) for name in "abc"]
    await settle()
    with pytest.raises(RateLimited):
        async with reads.slots.hold(1):
            pass
    for gate in reads.gates.values():
        gate.set()
    await asyncio.gather(*tasks)
