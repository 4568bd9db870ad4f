"""A subscriber's queue: in order, bounded, and left behind however its reader ends."""

import asyncio

import pytest

from events.subscription import SubscriberTooSlow, Subscription


def _subscription(
    max_items: int = 10, max_bytes: int = 1000
) -> tuple[Subscription[str], list[Subscription[str]]]:
    left: list[Subscription[str]] = []
    return Subscription(max_items=max_items, max_bytes=max_bytes, leave=left.append), left


async def _read(subscription: Subscription[str], number: int) -> list[str]:
    items: list[str] = []
    async with asyncio.timeout(5):
        async for item in subscription:
            items.append(item)
            if len(items) == number:
                break
    return items


async def test_items_come_in_order_before_and_after_the_reader() -> None:
    subscription, _ = _subscription()
    subscription.deliver("a", 1)
    subscription.deliver("b", 1)
    reader = asyncio.create_task(_read(subscription, 4))
    await asyncio.sleep(0)
    subscription.deliver("c", 1)
    subscription.deliver("d", 1)
    assert await reader == ["a", "b", "c", "d"]


@pytest.mark.parametrize(("size", "room"), [(1, 10), (100, 10), (101, 9), (1000, 1)])
async def test_beyond_either_limit_the_reader_is_told_and_nothing_is_kept(
    size: int, room: int
) -> None:
    subscription, _ = _subscription(max_items=10, max_bytes=1000)
    for _ in range(room):
        subscription.deliver("x", size)
    assert not subscription.overflowed
    subscription.deliver("one too many", size)
    assert subscription.overflowed
    subscription.deliver("late", 1)
    with pytest.raises(SubscriberTooSlow):
        await _read(subscription, 1)


async def test_what_was_read_makes_room() -> None:
    subscription, _ = _subscription(max_items=2, max_bytes=20)
    for _ in range(50):
        subscription.deliver("a", 10)
        subscription.deliver("b", 10)
        assert await _read(subscription, 2) == ["a", "b"]


async def test_a_reader_that_waits_is_told_of_an_overflow() -> None:
    subscription, _ = _subscription(max_items=1)
    reader = asyncio.create_task(_read(subscription, 9))
    await asyncio.sleep(0)
    subscription.deliver("a", 1)
    subscription.deliver("b", 1)
    with pytest.raises(SubscriberTooSlow):
        await reader


@pytest.mark.parametrize("end", ["normal", "error", "cancel"])
async def test_leaving_cleans_up_however_it_ends(end: str) -> None:
    subscription, left = _subscription()
    entered = asyncio.Event()

    async def read() -> None:
        with subscription:
            entered.set()
            if end == "error":
                raise ZeroDivisionError
            if end == "cancel":
                await _read(subscription, 1)

    reader = asyncio.create_task(read())
    await entered.wait()
    assert left == [] or end != "cancel"
    if end == "cancel":
        reader.cancel()
    [outcome] = await asyncio.gather(reader, return_exceptions=True)
    expected = {"normal": None, "error": ZeroDivisionError, "cancel": asyncio.CancelledError}[end]
    assert outcome is None if expected is None else isinstance(outcome, expected)
    assert left == [subscription]


class Taker:
    """Takes what comes while it is willing; keeps the subscription otherwise."""

    def __init__(self) -> None:
        self.willing = True
        self.taken: list[str] = []
        self.parked = 0
        self.woken = 0

    def show(self, item: str) -> bool:
        if self.willing:
            self.taken.append(item)
        return self.willing

    def park(self, subscription: Subscription[str]) -> None:
        self.parked += 1

    def wake(self) -> None:
        self.woken += 1


async def read_out(subscription: Subscription[str]) -> list[str]:
    """Read until it is parked."""
    async with asyncio.timeout(5):
        with subscription:
            return [item async for item in subscription]


async def test_a_consumer_takes_what_comes_once_all_is_read() -> None:
    subscription, left = _subscription()
    subscription.consumer = taker = Taker()
    subscription.deliver("a", 1)
    assert (taker.taken, taker.woken) == ([], 0)  # a reader reads it
    for turn in range(3):
        assert await read_out(subscription) == (["a"] if turn == 0 else ["b", "c"])
        assert (left, taker.parked, taker.woken) == ([], turn + 1, turn)
        taker.willing = True
        subscription.deliver("at once", 1)
        taker.willing = False
        subscription.deliver("b", 1)
        taker.willing = True
        subscription.deliver("c", 1)  # not before the one that waits
        assert taker.taken == ["at once"] * (turn + 1)
        assert taker.woken == turn + 1
    subscription.leave()
    assert left == [subscription]


async def test_a_consumer_is_woken_once_and_its_reader_told_of_an_overflow() -> None:
    subscription, left = _subscription(max_items=2)
    subscription.consumer = taker = Taker()
    assert await read_out(subscription) == []
    taker.willing = False
    for item in ("a", "b", "c", "d"):
        subscription.deliver(item, 1)
    assert taker.woken == 1
    with pytest.raises(SubscriberTooSlow):
        await read_out(subscription)
    assert left == [subscription]
