"""Moving windows in memory."""

import pytest
from limits import RateLimitItemPerSecond
from limits.strategies import MovingWindowRateLimiter

from events import windows as module
from events.windows import Windows


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
    windows = Windows()
    for second in range(3):
        clock.now = 1000.0 + second
        assert windows.acquire_entry("a", 3, 10)
    assert not windows.acquire_entry("a", 3, 10)
    assert windows.wait("a") == 8
    assert windows.wait("a", 2) == 9
    assert windows.wait("a", 99) == 10  # more than there ever is room for: as many as there is
    assert windows.acquire_entry("b", 3, 10)
    clock.now = 1010.0
    assert windows.wait("a") == 0
    assert windows.acquire_entry("a", 3, 10)
    assert not windows.acquire_entry("a", 3, 10)
    assert windows.wait("a") == 1


def test_several_hits_go_in_together_or_not_at_all(clock: Clock) -> None:
    windows = Windows()
    assert windows.acquire_entry("a", 5, 10, amount=3)
    assert not windows.acquire_entry("a", 5, 10, amount=3)
    assert windows.acquire_entry("a", 5, 10, amount=2)
    assert not windows.acquire_entry("b", 5, 10, amount=6)


def test_what_happened_elsewhere_counts_even_beyond_the_limit(clock: Clock) -> None:
    windows = Windows()
    assert windows.acquire_entry("a", 3, 10)
    clock.now += 5
    windows.record("a", 3, 10, 100)
    assert not windows.acquire_entry("a", 3, 10)
    assert windows.wait("a") == 10


def test_a_strategy_of_the_library_counts_in_it(clock: Clock) -> None:
    strategy = MovingWindowRateLimiter(Windows())
    item = RateLimitItemPerSecond(2, 10)
    assert [strategy.hit(item, "a") for _ in range(3)] == [True, True, False]
    assert not strategy.test(item, "a")
    assert strategy.get_window_stats(item, "a") == (1010.0, 0)
    strategy.clear(item, "a")
    assert strategy.test(item, "a")
    assert strategy.storage.check()
    assert strategy.hit(item, "a")
    assert strategy.storage.reset() == 1
    assert strategy.test(item, "a")


def test_what_has_passed_is_forgotten(clock: Clock) -> None:
    windows = Windows()
    for number in range(100):
        windows.acquire_entry(f"old{number}", 3, 10)
    clock.now += 5
    windows.acquire_entry("young", 3, 10)
    clock.now += 6
    for number in range(100):
        windows.acquire_entry(f"new{number}", 3, 10)
    assert len(windows) == 101
    assert windows.wait("young", 3) > 0


def test_there_are_never_more_keys_than_the_most(clock: Clock) -> None:
    windows = Windows(max_keys=10)
    for number in range(100):
        assert windows.acquire_entry(str(number), 1, 10)
    assert len(windows) == 10
    assert not windows.acquire_entry("99", 1, 10)
