"""The queue for password checks: bounded, and fair whatever a crowd does."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from resolvers.errors import RateLimited
from resolvers.guards.limits.fair_queue import FairQueue, Path, Place

ROOM = 12


class Desk:
    """A queue with one worker, which works when it is let."""

    def __init__(self, room: int = ROOM) -> None:
        self.pool = ThreadPoolExecutor(1)
        self.queue = FairQueue(self.pool, workers=1, room=room)
        self.served: list[str] = []
        self._gate = threading.Semaphore(0)

    def call(self, name: str) -> None:
        """Wait to be let, and note whose turn it was."""
        assert self._gate.acquire(timeout=20)
        self.served.append(name)

    def let(self, number: int = 1) -> None:
        """Have the worker serve so many."""
        self._gate.release(number)

    def come(self, name: str, path: Path) -> asyncio.Task[None]:
        """Take a place; ask for the worker in a task."""
        return asyncio.create_task(self._stay(name, self.queue.hold(path)))

    async def _stay(self, name: str, place: Place) -> None:
        with place:
            await place.run(lambda: self.call(name))

    async def occupy(self) -> asyncio.Task[None]:
        """Have the worker busy with somebody else's."""
        busy = self.come("busy", ("strangers", "x"))
        await asyncio.sleep(0)
        return busy


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.let(1000)
    desk.pool.shutdown()


async def outcomes(*tasks: asyncio.Task[None]) -> list[str]:
    """Return how each ended."""
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(end is None or isinstance(end, RateLimited) for end in ends), ends
    return ["served" if end is None else "refused" for end in ends]


async def test_who_comes_while_nobody_waits_is_served_at_once(desk: Desk) -> None:
    desk.let(3)
    for number in range(3):
        await desk.come(f"{number}", ("strangers", "a"))
    assert desk.served == ["0", "1", "2"]


async def test_networks_take_turns_and_so_do_the_addresses_in_each(desk: Desk) -> None:
    busy = await desk.occupy()
    crowd = [desk.come(f"crowd{n}", ("strangers", "net", f"{n}")) for n in range(4)]
    again = desk.come("crowd0 again", ("strangers", "net", "0"))
    one = [desk.come(f"one{n}", ("strangers", "other", "a")) for n in range(2)]
    known = desk.come("known", ("familiar", "net", "9"))
    await asyncio.sleep(0)
    desk.let(20)
    await asyncio.gather(busy, *crowd, again, *one, known)
    assert desk.served == [
        *("busy", "crowd0", "known", "one0", "crowd1", "one1", "crowd2", "crowd3", "crowd0 again")
    ]


async def test_a_newcomer_takes_the_place_of_the_latest_of_the_longest(desk: Desk) -> None:
    busy = await desk.occupy()
    crowd = [desk.come(f"{n}", ("strangers", "net", f"{n}")) for n in range(ROOM)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited):
        desk.queue.hold(("strangers", "net", "another"))
    known = desk.come("known", ("familiar", "net", "another"))
    other = desk.come("other", ("strangers", "other", "a"))
    await asyncio.sleep(0)
    desk.let(ROOM + 1)
    assert await outcomes(*crowd[-2:]) == ["refused"] * 2
    assert await outcomes(busy, *crowd[:-2], known, other) == ["served"] * (ROOM + 1)
    assert desk.served[:4] == ["busy", "0", "known", "other"]


async def test_however_many_addresses_of_a_network_wait_another_comes_in(desk: Desk) -> None:
    """Each of the flood is of an address of its own, and it goes on all the time."""
    busy = await desk.occupy()
    flood = []
    for number in range(5000):
        try:
            path = ("strangers", "provider", f"customer {number % 7}", f"{number}")
            flood.append(desk.come(f"{number}", path))
        except RateLimited:
            continue
    await asyncio.sleep(0)
    owners = [
        desk.come("familiar", ("familiar", "provider", "customer 1", "home")),
        desk.come("neighbour", ("strangers", "provider", "customer 8", "home")),
        desk.come("elsewhere", ("strangers", "another provider", "customer", "home")),
    ]
    await asyncio.sleep(0)
    desk.let(5000)
    assert await outcomes(*owners, busy) == ["served"] * 4
    ends = await outcomes(*flood)
    assert ends.count("served") == ROOM - 3
    assert desk.served.index("familiar") <= 2
    assert desk.served.index("elsewhere") <= 4


async def test_a_place_is_held_before_it_is_used_and_given_back_in_any_case(desk: Desk) -> None:
    with desk.queue.hold(("strangers", "a")), desk.queue.hold(("familiar", "a")):
        pass
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), desk.queue.hold(("strangers", "a")):
            raise ZeroDivisionError
    busy = await desk.occupy()
    waiting = [desk.come(f"{n}", ("strangers", f"{n}")) for n in range(5)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert desk.queue._root.held == desk.queue._root.ready == 0
    assert desk.queue._root.children == {}
    desk.let(2)
    await busy
    await desk.come("next", ("strangers", "a"))
    assert desk.served == ["busy", "next"]


async def test_a_cancelled_callers_worker_is_free_when_it_has_finished(desk: Desk) -> None:
    busy = await desk.occupy()
    await asyncio.sleep(0.01)
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)
    following = desk.come("following", ("strangers", "a"))
    await asyncio.sleep(0.05)
    assert not following.done()
    desk.let(2)
    await following
    assert desk.served == ["busy", "following"]


async def test_one_whose_turn_came_as_it_was_cancelled_keeps_no_worker(desk: Desk) -> None:
    busy = await desk.occupy()
    first = desk.come("first", ("strangers", "a"))
    second = desk.come("second", ("strangers", "b"))
    await asyncio.sleep(0)
    place = next(iter(desk.queue._root.children["strangers"].children["a"].places))
    desk.let(3)
    assert place.turn is not None
    await asyncio.wait([place.turn])  # its task has not run since
    first.cancel()
    assert await outcomes(busy, second) == ["served"] * 2
    await asyncio.gather(first, return_exceptions=True)
    assert desk.queue._idle == 1


async def test_who_loses_a_place_before_using_it_is_told_on_using_it(desk: Desk) -> None:
    with desk.queue.hold(("strangers", "a", "early")) as early:
        crowd = [desk.queue.hold(("strangers", "a", "early")) for _ in range(ROOM - 1)]
        for place in crowd:
            place.__exit__()
        late = [desk.queue.hold(("strangers", "a", "early")) for _ in range(ROOM - 1)]
        with desk.queue.hold(("familiar", "b")):
            assert [place.refused for place in (early, *late)].count(True) == 1
            with pytest.raises(RateLimited):
                await late[-1].run(lambda: None)
        for place in late:
            place.__exit__()
    assert desk.queue._root.children == {}
