"""What is for everybody reaches many a slice at a time, once and in order for each."""

import asyncio

import pytest

from events.spread import AT_ONCE, MOST_UNDER_WAY, Spread

MANY = 5 * AT_ONCE


class Word(str):
    """An entry."""

    id = 7


class Reader:
    """A sink that keeps all it gets."""

    def __init__(self) -> None:
        self.got: list[str] = []

    def deliver(self, item: Word, size: int) -> None:
        """Take an entry."""
        assert size == len(item)
        self.got.append(item)

    def interrupt(self) -> None:
        """There is nothing to resume."""


def readers(count: int) -> list[Reader]:
    """Return so many, who have got nothing."""
    return [Reader() for _ in range(count)]


async def until_all_got(sinks: list[Reader], *entries: str) -> None:
    """Wait until each has got just these."""
    async with asyncio.timeout(10):
        while any(sink.got != [*entries] for sink in sinks):
            assert all(sink.got == [*entries][: len(sink.got)] for sink in sinks)
            await asyncio.sleep(0)


async def test_few_get_it_at_once() -> None:
    spread, sinks = Spread[Word](), readers(AT_ONCE)
    spread.send(Word("one"), 3, sinks)
    assert all(sink.got == ["one"] for sink in sinks)


async def test_many_get_it_in_slices_and_others_have_the_loop_between() -> None:
    spread, sinks = Spread[Word](), readers(MANY)
    spread.send(Word("one"), 3, sinks)
    assert not any(sink.got for sink in sinks)
    counts: list[int] = []
    async with asyncio.timeout(10):
        while not counts or counts[-1] < MANY:
            await asyncio.sleep(0)
            counts.append(sum(len(sink.got) for sink in sinks))
    assert len({*counts}) > 3
    assert all(sink.got == ["one"] for sink in sinks)


async def test_its_sender_gets_it_first() -> None:
    spread, sinks = Spread[Word](), readers(MANY)
    spread.send(Word("one"), 3, sinks, now=sinks[-1:])
    assert [sink.got for sink in sinks[-2:]] == [[], ["one"]]
    await until_all_got(sinks, "one")


async def test_what_is_for_one_does_not_overtake_what_is_for_all() -> None:
    spread, sinks = Spread[Word](), readers(MANY)
    spread.send(Word("one"), 3, sinks)
    spread.send(Word("two"), 3, sinks)
    spread.deliver(Word("mine"), 4, sinks[-1:])
    assert sinks[-1].got == ["one", "two", "mine"]
    await until_all_got(sinks[:-1], "one", "two")
    assert sinks[-1].got == ["one", "two", "mine"]


async def test_a_few_do_not_overtake_what_is_under_way_either() -> None:
    spread, sinks = Spread[Word](), readers(MANY)
    spread.send(Word("one"), 3, sinks)
    spread.send(Word("two"), 3, sinks[-2:])
    await until_all_got(sinks[-2:], "one", "two")
    await until_all_got(sinks[:-2], "one")


async def test_who_leaves_gets_nothing_more_and_a_drop_ends_all() -> None:
    spread, sinks = Spread[Word](), readers(MANY)
    spread.send(Word("one"), 3, sinks)
    spread.leave_out(sinks[-1])
    await until_all_got(sinks[:-1], "one")
    assert sinks[-1].got == []
    spread.send(Word("two"), 3, sinks)
    spread.drop()
    spread.send(Word("three"), 5, sinks)
    await until_all_got(sinks[:-1], "one", "three")
    assert sinks[-1].got == ["three"]


async def test_no_more_than_so_many_are_under_way() -> None:
    spread, sinks = Spread[Word](), readers(MANY)
    names = [f"{number:03}" for number in range(MOST_UNDER_WAY + 1)]
    for name in names:
        spread.send(Word(name), 3, sinks)
    assert all(sink.got == names for sink in sinks)


async def test_a_sink_that_fails_is_nobody_elses_trouble(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Reader):
        def deliver(self, item: Word, size: int) -> None:
            raise ValueError("broken")

    sinks = [*readers(MANY - 1), Broken()]
    spread = Spread[Word]()
    spread.send(Word("one"), 3, sinks)
    await until_all_got(sinks[:-1], "one")
    assert [record.message for record in caplog.records] == ["A subscriber failed on position 7"]
