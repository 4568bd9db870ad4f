"""A bounded queue for a few workers that is fair between networks.

A place has a path, from the widest group to the narrowest: familiar callers or strangers, the
provider's network, the customer's, the address. At each level the groups take turns. When the queue
is full, a newcomer gets the latest place of a group that has at least two more than the newcomer's
group. So a crowd waits and is refused for its own sake, however many addresses it has.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar

from resolvers.errors import RateLimited

T = TypeVar("T")

Path = tuple[str, ...]

RETRY_MS = 3000


class FairQueue:
    """Hands out places up to `room`, and runs the calls of their holders in the executor."""

    def __init__(self, executor: Executor, *, workers: int, room: int) -> None:
        self._executor = executor
        self._idle = workers
        self._room = room
        self._root = _Group()

    @property
    def waiting(self) -> int:
        """How many places are held by calls that do not run yet."""
        return self._root.held

    def hold(self, path: Path) -> "Place":
        """Take a place; use it as a context manager. Raises RateLimited when there is none."""
        if self._root.held >= self._room:
            self._make_room(path)
        place = Place(self, path)
        for group in self._groups(path):
            group.held += 1
        self._groups(path)[-1].places[place] = None
        return place

    def _groups(self, path: Path) -> "list[_Group]":
        groups = [self._root]
        for name in path:
            groups.append(groups[-1].children.setdefault(name, _Group()))
        return groups

    def _make_room(self, path: Path) -> None:
        group = self._root
        for name in path:
            longest = group.longest()
            own = group.children.get(name)
            if longest.held >= (own.held if own else 0) + 2:
                while longest.children:
                    longest = longest.longest()
                next(reversed(longest.places)).refuse()
                return
            if own is None:
                break
            group = own
        raise _refusal()

    def leave(self, place: "Place") -> None:
        """Give the place to others."""
        groups = self._groups(place.path)
        del groups[-1].places[place]
        for group in groups:
            group.held -= 1
            group.ready -= place.turn is not None
        for above, name in zip(reversed(groups[:-1]), reversed(place.path), strict=True):
            if not above.children[name].held:
                del above.children[name]

    async def run(self, place: "Place", call: Callable[[], T]) -> T:
        """Wait for the place's turn, and run the call. Raises RateLimited when it has lost it."""
        if place.refused:
            raise _refusal()
        if not self._idle:
            place.turn = asyncio.get_running_loop().create_future()
            for group in self._groups(place.path):
                group.ready += 1
            try:
                await place.turn  # then the place has left the queue, and has a worker
            except asyncio.CancelledError:
                if place.refused:
                    place.turn.exception()  # read, or Python would log that nobody did
                elif not place.turn.cancelled():
                    self._free()
                raise
        else:
            self._idle -= 1
            place.__exit__()
        try:
            job = self._executor.submit(call)
        except BaseException:
            self._free()
            raise
        loop = asyncio.get_running_loop()

        def done(_: object) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._free)

        # The worker of a cancelled caller is free only when it has finished.
        job.add_done_callback(done)
        return await asyncio.wrap_future(job)

    def _free(self) -> None:
        self._idle += 1
        while self._idle and self._root.ready:
            group = self._root
            while group.children:
                name = next(name for name, child in group.children.items() if child.ready)
                child = group.children.pop(name)
                group.children[name] = child  # now last in the order of turns
                group = child
            place = next(place for place in group.places if place.turn is not None)
            assert place.turn is not None  # noqa: S101  # as just looked for
            place.__exit__()
            if not place.turn.done():
                place.turn.set_result(None)
                self._idle -= 1


class Place:
    """A place in the queue: held from `hold` until its call begins or its block ends."""

    __slots__ = ("_held", "_queue", "path", "refused", "turn")

    def __init__(self, queue: FairQueue, path: Path) -> None:
        self._queue = queue
        self._held = True
        self.path = path
        self.refused = False
        self.turn: asyncio.Future[None] | None = None

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._held = False
            self._queue.leave(self)

    async def run(self, call: Callable[[], T]) -> T:
        """Wait for a worker and run the call, once. Raises RateLimited."""
        return await self._queue.run(self, call)

    def refuse(self) -> None:
        """Lose the place to a group that has fewer."""
        self.refused = True
        self.__exit__()
        if self.turn is not None and not self.turn.done():
            self.turn.set_exception(_refusal())


class _Group:
    """The places of a group, or the groups within it, in the order of their turns."""

    __slots__ = ("children", "held", "places", "ready")

    def __init__(self) -> None:
        self.children: dict[str, _Group] = {}
        self.places: dict[Place, None] = {}
        self.held = 0
        self.ready = 0  # how many of those held wait for their turn

    def longest(self) -> "_Group":
        """Return the group with the most places; of several the one whose turn comes last."""
        return max(reversed(self.children.values()), key=lambda group: group.held)


def _refusal() -> RateLimited:
    return RateLimited(
        "Too many logins at once; try again in a few seconds", retry_after_ms=RETRY_MS
    )
