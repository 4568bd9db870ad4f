"""Moving windows in memory."""

import pytest

from resolvers.guards.limits import windows as module
from resolvers.guards.limits.windows import Windows
from tests.support.held import held_windows


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


def test_a_window_moves(clock: Clock) -> None:
    windows = Windows(3, 10)
    for second in range(3):
        clock.now = 1000.0 + second
        assert windows.wait("a") == 0
        assert windows.count("a") == 0
    assert windows.count("a") == windows.wait("a") == 8
    assert windows.count("b") == 0
    clock.now = 1010.0
    assert windows.wait("a") == 0
    assert windows.count("a") == 0
    assert windows.count("a") == windows.wait("a") == 1


def test_what_happened_elsewhere_counts_even_beyond_the_limit(clock: Clock) -> None:
    windows = Windows(3, 10)
    assert windows.count("a") == 0
    clock.now += 5
    windows.add("a", 100)
    assert windows.count("a") == 10


def test_what_has_passed_is_forgotten(clock: Clock) -> None:
    windows = Windows(3, 10)
    for number in range(100):
        windows.count(f"old{number}")
    clock.now += 5
    windows.count("young")
    windows.count("old50")
    clock.now += 6
    windows.count("new")
    assert held_windows(windows) == 3
    assert windows._windows.keys() == {"young", "old50", "new"}


def test_to_look_and_to_be_refused_makes_no_key(clock: Clock) -> None:
    windows = Windows(1, 10)
    for number in range(100):
        assert windows.wait(str(number)) == 0
    assert held_windows(windows) == 0
    windows.count("a")
    for _ in range(100):
        assert windows.count("a") > 0
    assert held_windows(windows) == 1


def test_a_flood_of_keys_frees_nobody_from_what_was_counted(clock: Clock) -> None:
    windows = Windows(5, 10, max_keys=100)
    windows.add("guesser", 5)
    waits = [windows.count(f"flood{number}") for number in range(100_000)]
    assert held_windows(windows) <= 100 + module.SHARED_WINDOWS
    assert windows.count("guesser") == 10
    # All new ones together have what the shared windows let through: nobody has more than his own.
    assert waits.count(0) <= 99 + 5 * module.SHARED_WINDOWS
    for number in range(100_000):
        assert windows.wait(f"new{number}") == windows.count(f"new{number}") == 10


def test_a_key_that_shared_a_window_counts_on_in_it_when_there_is_room_again(clock: Clock) -> None:
    windows = Windows(2, 10, max_keys=1)
    windows.count("first")
    clock.now += 6
    windows.count("second")  # the store is full: in a shared one
    clock.now += 5  # what the first did has passed, what the second did has not
    assert windows.count("third") == 0
    assert windows.count("second") == 0
    assert windows.wait("second") == windows.count("second") == 5
    clock.now += 10
    assert windows.count("second") == 0
    assert windows._windows.keys() == {"second"}
