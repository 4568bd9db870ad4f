"""The composition root: in which order the parts start and end, and what a failed start leaves."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import application
from application import create_app
from compat.chat import ChatServer
from db import migrate
from db.engines.database import Database
from db.log.log import MessageLog
from events.bus.bus import LoneBus
from events.feed import Feed
from events.hub import Hub
from events.presence import Presence
from events.roster import Roster
from resolvers.guards.limits.counts import Counts
from resolvers.guards.passwords import Passwords
from tests.support.server import make_settings

# Each part, in the order in which they start; they end in the opposite one.
PARTS: tuple[type, ...] = (
    *(Database, Passwords, LoneBus, Counts, Hub, Feed, MessageLog, Roster, Presence, ChatServer),
)
STARTED = [kind for kind in PARTS if hasattr(kind, "start")]
# What is done between two parts' starts, and after which part.
STEPS = {
    "upgrade": Passwords,
    "load_blocks": Feed,
    "load_epoch": Feed,
    "settle_broadcasters": MessageLog,
    "spare_the_collector": ChatServer,
}
BACKGROUND = {"sweep", "sessions", "database", "garbage"}


class Watch:
    """What was started and closed, in order."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.seen: list[str] = []
        for kind in PARTS:
            for verb in ("start", "close"):
                if hasattr(kind, verb):
                    self._record(kind, verb)

    def _record(self, kind: type, verb: str) -> None:
        real = getattr(kind, verb)

        def call(part: Any, *arguments: Any) -> Any:
            self.seen.append(f"{verb} {kind.__name__}")
            return real(part, *arguments)

        self._patch.setattr(kind, verb, call)

    def fail(self, place: Any, name: str) -> None:
        """Have this start, or this step, fail when it has been called."""

        def call(*arguments: Any) -> None:
            if isinstance(place, type):
                self.seen.append(f"start {place.__name__}")
            raise ConnectionError("no more")

        self._patch.setattr(place, name, call)

    @property
    def closed(self) -> list[str]:
        """The parts that were closed, in order."""
        return [word.removeprefix("close ") for word in self.seen if word.startswith("close")]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Watches all parts of this test's server."""
    # For the tests that follow it would stay as it is.
    monkeypatch.setattr(application, "spare_the_collector", lambda: None)
    return Watch(monkeypatch)


async def _live(directory: Path) -> set[str]:
    """Start a server and end it; return the tasks that ran in between."""
    app = create_app(make_settings(directory)).app
    before = asyncio.all_tasks()
    try:
        async with app.router.lifespan_context(app):
            return {task.get_name() for task in asyncio.all_tasks() - before}
    finally:
        assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()


async def test_parts_end_in_the_opposite_order_of_their_start(tmp_path: Path, watch: Watch) -> None:
    tasks = await _live(tmp_path)
    starts = [f"start {kind.__name__}" for kind in STARTED]
    assert watch.seen[: len(starts)] == starts
    assert watch.closed == [kind.__name__ for kind in reversed(PARTS)]
    assert tasks >= BACKGROUND


@pytest.mark.parametrize("failing", STARTED, ids=lambda kind: kind.__name__)
async def test_a_part_that_does_not_start_is_ended_and_those_before_it(
    tmp_path: Path, watch: Watch, failing: type
) -> None:
    watch.fail(failing, "start")
    with pytest.raises(ConnectionError):
        await _live(tmp_path)
    begun = PARTS[: PARTS.index(failing) + 1]
    assert watch.closed == [kind.__name__ for kind in reversed(begun)]


@pytest.mark.parametrize(("step", "last"), STEPS.items(), ids=str)
async def test_a_step_that_fails_ends_the_parts_before_it(
    tmp_path: Path, watch: Watch, step: str, last: type
) -> None:
    watch.fail(migrate if step == "upgrade" else application, step)
    with pytest.raises(ConnectionError):
        await _live(tmp_path)
    begun = PARTS[: PARTS.index(last) + 1]
    assert watch.closed == [kind.__name__ for kind in reversed(begun)]


async def test_a_part_that_does_not_end_keeps_no_other_from_ending(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = Roster.close

    async def fail(roster: Roster) -> None:
        await close(roster)
        raise ConnectionError("no more")

    monkeypatch.setattr(Roster, "close", fail)
    with pytest.raises(ConnectionError):
        await _live(tmp_path)
    assert watch.closed == [kind.__name__ for kind in reversed(PARTS)]


async def test_a_background_task_that_does_not_end_is_waited_for_in_bounded_time(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = asyncio.Event()

    async def stuck(*_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await released.wait()

    monkeypatch.setattr(application, "watch_database", stuck)
    monkeypatch.setattr(application, "CANCEL_SECONDS", 0.05)
    app = create_app(make_settings(tmp_path)).app
    async with asyncio.timeout(10), app.router.lifespan_context(app):
        await asyncio.sleep(0)
    assert watch.closed == [kind.__name__ for kind in reversed(PARTS)]
    released.set()
