"""Turns: shared out between people, by what their files took."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from media import turns
from media.turns import Spent, Turns


class Looking:
    """Files that are looked at, each until it is told to end."""

    def __init__(self, places: int) -> None:
        self.turns = Turns(places)
        self.began: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def come(self, *names: str) -> None:
        """Have files come; the first letter is whose they are, one after @ their address."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._look(name))
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def end(self, *names: str) -> None:
        for name in names:
            self._ends[name].set()
            await self.tasks[name]
        await asyncio.sleep(0)

    async def _look(self, name: str) -> None:
        async with self.turns.hold(name[0], name.partition("@")[2]):
            self.began.append(name)
            await self._ends[name].wait()


@asynccontextmanager
async def looking(places: int) -> AsyncIterator[Looking]:
    made = Looking(places)
    yield made
    for task in made.tasks.values():
        task.cancel()
    await asyncio.gather(*made.tasks.values(), return_exceptions=True)
    assert not made.turns._waiting
    assert not made.turns._looking


async def test_somebody_who_is_alone_has_every_place() -> None:
    async with looking(3) as files:
        await files.come("a1", "a2", "a3", "a4")
        assert files.began == ["a1", "a2", "a3"]


async def test_somebody_with_many_files_has_one_place_while_others_wait() -> None:
    async with looking(2) as files:
        await files.come("a1", "a2", "a3", "a4", "b1", "c1")
        await files.end("a1")
        assert files.began[2:] == ["b1"]
        await files.end("a2")
        assert files.began[3:] == ["c1"]
        await files.end("b1")
        assert files.began[4:] == ["a3"]


async def test_whose_files_took_long_lately_comes_after_others() -> None:
    async with looking(1) as files:
        await files.come("a1")
        await asyncio.sleep(0.15)
        await files.come("x1", "a2", "b1", "c1")
        await files.end("a1", "x1")
        assert files.began == ["a1", "x1", "b1"]
        await files.end("b1", "c1")
        assert files.began[3:] == ["c1", "a2"]


async def test_an_address_whose_files_took_long_comes_after_others() -> None:
    async with looking(1) as files:
        await files.come("a1@here")
        await asyncio.sleep(0.15)
        await files.come("b1@here", "c1@there")
        await files.end("a1@here")
        assert files.began == ["a1@here", "c1@there"]


async def test_a_slow_file_makes_room_and_its_owner_gets_no_other_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.1)
    async with looking(1) as files:
        await files.come("a1", "a2", "a3", "b1")
        assert files.began == ["a1"]
        await asyncio.sleep(0.2)
        assert files.began == ["a1", "b1"]
        await files.end("b1")
        # The place is free, and stays so for others, until the slow one has ended.
        assert files.began == ["a1", "b1"]
        await files.come("c1")
        assert files.began == ["a1", "b1", "c1"]
        await files.end("c1", "a1")
        assert files.began[3:] == ["a2"]


async def test_slow_files_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.02)
    async with looking(2) as files:
        await files.come(*"abcdefgh")
        await asyncio.sleep(0.5)
        assert files.began == list("abcde")  # two places, and three slow ones
        await files.end("b")
        assert files.began == list("abcdef")


async def test_nobody_makes_room_while_nobody_else_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.05)
    async with looking(1) as files:
        await files.come("a1")
        await asyncio.sleep(0.15)
        await files.come("b1")
        assert files.began == ["a1", "b1"]  # at once: it had its time


@pytest.mark.parametrize("when", ["waiting", "granted", "looking"])
async def test_whoever_goes_leaves_the_place_to_others(when: str) -> None:
    async with looking(1) as files:
        await files.come("a1", "b1", "c1")
        if when == "waiting":
            files.tasks["b1"].cancel()
            await files.end("a1")
        elif when == "granted":
            files._ends["a1"].set()
            for _ in range(20):
                if files.turns._looking and files.turns._looking[0].owner == "b":
                    break
                await asyncio.sleep(0)
            files.tasks["b1"].cancel()
        else:
            await files.end("a1")
            files.tasks["b1"].cancel()
        await asyncio.gather(files.tasks["b1"], return_exceptions=True)
        await asyncio.sleep(0)
        assert files.began[-1] == "c1"


def test_what_was_spent_is_forgotten_and_takes_no_memory() -> None:
    spent = Spent()
    spent.add("a", 8.0, now=0.0)
    assert spent.of("a", 0.0) == 8.0
    assert spent.of("a", turns.HALF_LIFE_SECONDS) == 4.0
    spent.add("a", 1.0, now=turns.HALF_LIFE_SECONDS)
    assert spent.of("a", turns.HALF_LIFE_SECONDS) == 5.0
    for second in range(5000):
        spent.add(f"key {second}", 1.0, now=float(second))
    assert len(spent._seconds) < 1000
