"""The register of open connections: each ends with its session, and with its token."""

import time
from time import monotonic

import pytest

from events import connections as connections_module
from events.connections import Connections, Held

HOUR = 3600.0


class Line:
    """A connection, and what it was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def session_ended(self, reason: str) -> None:
        """As Connection."""
        self.told.append(reason)

    def token_expiring(self, expires_at: float) -> None:
        """As Connection."""
        self.told.append(expires_at)


class Clock:
    """The time of day, which may jump."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        monkeypatch.setattr(time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands."""
    return Clock(monkeypatch)


@pytest.fixture
def register() -> Connections:
    """One that warns a minute before."""
    return Connections(warning_seconds=60)


def hold(
    register: Connections, user: int, session: int | None, expires_at: float | None = None
) -> tuple[Line, Held]:
    line = Line()
    held = register.hold(
        line, user_id=user, session_id=session, expires_at=expires_at, checked_at=monotonic()
    )
    return line, held


def test_an_end_is_told_to_the_sessions_connections_and_no_other(register: Connections) -> None:
    (one, _), (two, _) = hold(register, 1, 10), hold(register, 1, 10)
    (other, _), (older, _), (stranger, _) = (
        hold(register, 1, 11),
        hold(register, 1, None),
        hold(register, 2, None),
    )
    register.end(1, 10)
    register.end(1, 10)
    assert one.told == two.told == ["Session ended"]
    assert other.told == older.told == stranger.told == []
    register.end(1, None)
    assert (other.told, older.told, stranger.told) == ([], ["Session ended"], [])


def test_who_has_left_is_told_nothing(register: Connections, clock: Clock) -> None:
    line, held = hold(register, 1, 10, clock.now + 10)
    held.leave()
    held.leave()
    register.end(1, 10)
    clock.now += HOUR
    register.sweep()
    assert line.told == []
    assert register._held == {}


def test_a_token_that_ends_is_warned_of_once_and_then_ends(
    register: Connections, clock: Clock
) -> None:
    start = clock.now
    line, _ = hold(register, 1, 10, start + HOUR)
    for at in (1, HOUR - 61):
        clock.now = start + at
        register.sweep()
    assert line.told == []
    for at in (HOUR - 60, HOUR - 30, HOUR - 1):
        clock.now = start + at
        register.sweep()
    assert line.told == [start + HOUR]
    clock.now = start + HOUR
    register.sweep()
    register.sweep()
    assert line.told == [start + HOUR, "Token expired"]


def test_who_comes_shortly_before_the_end_is_warned_at_once(
    register: Connections, clock: Clock
) -> None:
    line, _ = hold(register, 1, 10, clock.now + 5)
    register.sweep()
    assert line.told == [clock.now + 5]


def test_who_comes_after_the_end_is_ended(register: Connections, clock: Clock) -> None:
    line, _ = hold(register, 1, 10, clock.now - 5)
    register.sweep()
    assert line.told == ["Token expired"]


def test_a_renewed_session_goes_on_and_is_warned_again(register: Connections, clock: Clock) -> None:
    start = clock.now
    (line, _), (other, _) = hold(register, 1, 10, start + 100), hold(register, 1, 11, start + 100)
    clock.now = start + 50
    register.sweep()
    register.renew(1, 10, start + 1000)
    clock.now = start + 101
    register.sweep()
    assert (line.told, other.told) == ([start + 100], [start + 100, "Token expired"])
    clock.now = start + 950
    register.sweep()
    assert line.told == [start + 100, start + 1000]
    clock.now = start + 1001
    register.sweep()
    assert line.told[-1] == "Token expired"


def test_an_end_may_also_come_nearer(register: Connections, clock: Clock) -> None:
    lines = [hold(register, user, user, clock.now + HOUR) for user in range(1, 20)]
    lines[7][1].renew(clock.now + 100, session_id=8)
    clock.now += 101
    register.sweep()
    assert [line.told for line, _ in lines].index(["Token expired"]) == 7
    assert sum(bool(line.told) for line, _ in lines) == 1
    clock.now += HOUR
    register.sweep()
    assert all(line.told == ["Token expired"] for line, _ in lines)


def test_a_token_without_an_end_never_ends_until_it_gains_one(
    register: Connections, clock: Clock
) -> None:
    line, held = hold(register, 1, None)
    clock.now += 1000 * HOUR
    register.sweep()
    assert line.told == []
    held.renew(clock.now + 100, session_id=5)
    clock.now += 101
    register.sweep()
    assert line.told == ["Token expired"]


def test_a_clock_that_jumps_back_ends_nobody_and_forth_again_everybody(
    register: Connections, clock: Clock
) -> None:
    start = clock.now
    line, _ = hold(register, 1, 10, start + 100)
    clock.now = start - HOUR
    register.sweep()
    assert line.told == []
    clock.now = start + HOUR
    register.sweep()
    assert line.told == ["Token expired"]


def test_what_ended_since_the_check_of_a_token_is_ended_when_it_comes(
    register: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked_at = monotonic()
    register.end(1, 10)
    late = Line()
    register.hold(late, user_id=1, session_id=10, expires_at=None, checked_at=checked_at)
    assert late.told == ["Session ended"]
    assert not register.has_ended(1, 11, since=checked_at)
    assert not register.has_ended(1, 10, since=monotonic())
    monkeypatch.setattr(connections_module, "REMEMBERED_SECONDS", -1.0)
    register.sweep()
    assert register._ended == {}


def test_a_connection_that_fails_is_nobody_elses_trouble(
    register: Connections, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Line):
        def session_ended(self, reason: str) -> None:
            raise ZeroDivisionError

        def token_expiring(self, expires_at: float) -> None:
            raise ZeroDivisionError

    ends = clock.now + 30
    register.hold(Broken(), user_id=1, session_id=1, expires_at=ends, checked_at=monotonic())
    line, _ = hold(register, 1, 1, ends)
    register.sweep()
    clock.now = ends
    register.sweep()
    assert line.told == [ends, "Token expired"]
    assert len(caplog.records) == 2


def test_what_comes_and_goes_leaves_nothing_behind(register: Connections, clock: Clock) -> None:
    kept, _ = hold(register, 1, 1, clock.now + HOUR)
    for number in range(5000):
        hold(register, number, number, clock.now + HOUR)[1].leave()
    assert len(register._due) < 2000
    assert len(register._held) == 1
    clock.now += HOUR
    register.sweep()
    assert kept.told == ["Token expired"]
    assert register._due == []


def test_what_was_renewed_since_the_check_of_a_token_goes_on_when_it_comes(
    register: Connections, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked_at = monotonic()
    register.renew(1, 10, clock.now + HOUR)
    until = {"expires_at": clock.now + 30, "checked_at": checked_at}
    late, other = Line(), Line()
    held = register.hold(late, user_id=1, session_id=10, **until)
    register.hold(other, user_id=1, session_id=11, **until)
    later = {"expires_at": clock.now + 40, "checked_at": monotonic()}
    assert register.hold(Line(), user_id=1, session_id=10, **later).expires_at == clock.now + 40
    register.sweep()
    assert (late.told, other.told) == ([], [clock.now + 30])
    assert held.expires_at == clock.now + HOUR
    monkeypatch.setattr(connections_module, "REMEMBERED_SECONDS", -1.0)
    register.sweep()
    assert not register._renewed
