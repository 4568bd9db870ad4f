"""A caller who keeps the loop too long waits; another does not."""

from contextlib import suppress

import pytest

from resolvers.guards.limits import time_budgets
from resolvers.guards.limits.time_budgets import TimeBudget


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time_budgets, "monotonic", lambda: clock.now)
    monkeypatch.setattr(time_budgets, "thread_time", lambda: clock.now)
    return clock


def test_a_budget_is_used_up_and_comes_back(clock: Clock) -> None:
    budget = TimeBudget(1.0, 10)
    for _ in range(4):
        budget.spend("a", 0.3)
    assert budget.wait("a") == pytest.approx(2.0)  # 0.2 s too much, a tenth of it each second
    assert budget.wait("b") == 0
    clock.now += 2.1
    assert budget.wait("a") == 0
    clock.now += 100
    budget.spend("a", 0.9)
    assert budget.wait("a") == 0  # what was not used does not pile up
    budget.spend("a", 0.2)
    assert budget.wait("a") > 0


def test_what_a_block_takes_is_spent_also_when_it_fails(clock: Clock) -> None:
    budget = TimeBudget(1.0, 10)
    with suppress(ZeroDivisionError), budget.spending("a"):
        clock.now += 3
        raise ZeroDivisionError
    assert budget.wait("a") == pytest.approx(20)


def test_keys_are_bounded_and_forgotten_once_they_have_leaked(clock: Clock) -> None:
    budget = TimeBudget(1.0, 10, max_keys=3)
    for key in "abcd":
        budget.spend(key, 2)
    assert len(budget._used) == 3
    assert budget.wait("a") == 0
    assert budget.wait("d") > 0
    clock.now += 100
    budget.spend("e", 1)
    assert len(budget._used) == 1
