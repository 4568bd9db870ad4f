"""How connections end: with their session, and with their token."""

import time
from time import monotonic

import pytest

from events import hub as hub_module
from events.connection import Connection
from events.hub import EVERYBODY, AlreadyEnded, Hub

HOUR = 3600.0


class Line:
    """The transport of a connection, and what it was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def session_ended(self, reason: str) -> None:
        """As Transport."""
        self.told.append(reason)

    def token_expiring(self, expires_at: float) -> None:
        """As Transport."""
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
def hub() -> Hub:
    """One that warns a minute before."""
    return Hub(warning_seconds=60)


def let_in(
    hub: Hub,
    connection: Connection,
    user: int,
    session: int | None,
    expires_at: float | None = None,
    checked_at: float | None = None,
) -> None:
    """Enter, with a token that was checked then, or just now."""
    hub.enter(
        connection,
        user_id=user,
        session_id=session,
        expires_at=expires_at,
        checked_at=monotonic() if checked_at is None else checked_at,
    )


def enter(
    hub: Hub, user: int, session: int | None, expires_at: float | None = None
) -> tuple[Line, Connection]:
    line = Line()
    connection = hub.open(line)
    let_in(hub, connection, user, session, expires_at)
    return line, connection


def test_an_end_is_told_to_the_sessions_connections_and_no_other(hub: Hub) -> None:
    (one, _), (two, _) = enter(hub, 1, 10), enter(hub, 1, 10)
    (other, _), (older, _), (stranger, _) = (
        enter(hub, 1, 11),
        enter(hub, 1, None),
        enter(hub, 2, None),
    )
    hub.end(1, 10)
    hub.end(1, 10)
    assert one.told == two.told == ["Session ended"]
    assert other.told == older.told == stranger.told == []
    hub.end(1, None)
    assert (other.told, older.told, stranger.told) == ([], ["Session ended"], [])


def test_who_has_left_is_told_nothing(hub: Hub, clock: Clock) -> None:
    line, held = enter(hub, 1, 10, clock.now + 10)
    held.close()
    held.close()
    hub.end(1, 10)
    clock.now += HOUR
    hub.sweep()
    assert line.told == []
    assert hub._table == {}


def test_a_token_that_ends_is_warned_of_once_and_then_ends(hub: Hub, clock: Clock) -> None:
    start = clock.now
    line, _ = enter(hub, 1, 10, start + HOUR)
    for at in (1, HOUR - 61):
        clock.now = start + at
        hub.sweep()
    assert line.told == []
    for at in (HOUR - 60, HOUR - 30, HOUR - 1):
        clock.now = start + at
        hub.sweep()
    assert line.told == [start + HOUR]
    clock.now = start + HOUR
    hub.sweep()
    hub.sweep()
    assert line.told == [start + HOUR, "Token expired"]


def test_who_comes_shortly_before_the_end_is_warned_at_once(hub: Hub, clock: Clock) -> None:
    line, _ = enter(hub, 1, 10, clock.now + 5)
    hub.sweep()
    assert line.told == [clock.now + 5]


def test_who_comes_after_the_end_is_ended(hub: Hub, clock: Clock) -> None:
    line, _ = enter(hub, 1, 10, clock.now - 5)
    hub.sweep()
    assert line.told == ["Token expired"]


def test_a_renewed_session_goes_on_and_is_warned_again(hub: Hub, clock: Clock) -> None:
    start = clock.now
    (line, _), (other, _) = enter(hub, 1, 10, start + 100), enter(hub, 1, 11, start + 100)
    clock.now = start + 50
    hub.sweep()
    hub.renew(1, 10, start + 1000)
    clock.now = start + 101
    hub.sweep()
    assert (line.told, other.told) == ([start + 100], [start + 100, "Token expired"])
    clock.now = start + 950
    hub.sweep()
    assert line.told == [start + 100, start + 1000]
    clock.now = start + 1001
    hub.sweep()
    assert line.told[-1] == "Token expired"


def test_an_end_may_also_come_nearer(hub: Hub, clock: Clock) -> None:
    lines = [enter(hub, user, user, clock.now + HOUR) for user in range(1, 20)]
    lines[7][1].renew(clock.now + 100, session_id=8)
    clock.now += 101
    hub.sweep()
    assert [line.told for line, _ in lines].index(["Token expired"]) == 7
    assert sum(bool(line.told) for line, _ in lines) == 1
    clock.now += HOUR
    hub.sweep()
    assert all(line.told == ["Token expired"] for line, _ in lines)


def test_a_token_without_an_end_never_ends_until_it_gains_one(hub: Hub, clock: Clock) -> None:
    line, held = enter(hub, 1, None)
    clock.now += 1000 * HOUR
    hub.sweep()
    assert line.told == []
    held.renew(clock.now + 100, session_id=5)
    clock.now += 101
    hub.sweep()
    assert line.told == ["Token expired"]


def test_a_clock_that_jumps_back_ends_nobody_and_forth_again_everybody(
    hub: Hub, clock: Clock
) -> None:
    start = clock.now
    line, _ = enter(hub, 1, 10, start + 100)
    clock.now = start - HOUR
    hub.sweep()
    assert line.told == []
    clock.now = start + HOUR
    hub.sweep()
    assert line.told == ["Token expired"]


def test_what_ended_since_the_check_of_a_token_is_not_let_in(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked_at = monotonic()
    hub.end(1, 10)
    late = Line()
    connection = hub.open(late)
    with pytest.raises(AlreadyEnded):
        let_in(hub, connection, 1, 10, checked_at=checked_at)
    assert (late.told, connection.user_id) == ([], None)
    let_in(hub, connection, 1, 11, checked_at=checked_at)
    assert not hub.has_ended(1, 11, since=checked_at)
    assert not hub.has_ended(1, 10, since=monotonic())
    monkeypatch.setattr(hub_module, "REMEMBERED_SECONDS", -1.0)
    hub.sweep()
    assert hub._ended == {}


def test_a_connection_that_fails_is_nobody_elses_trouble(
    hub: Hub, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Line):
        def session_ended(self, reason: str) -> None:
            raise ZeroDivisionError

        def token_expiring(self, expires_at: float) -> None:
            raise ZeroDivisionError

    ends = clock.now + 30
    let_in(hub, hub.open(Broken()), 1, 1, ends)
    line, _ = enter(hub, 1, 1, ends)
    hub.sweep()
    clock.now = ends
    hub.sweep()
    assert line.told == [ends, "Token expired"]
    assert len(caplog.records) == 2


def test_what_comes_and_goes_leaves_nothing_behind(hub: Hub, clock: Clock) -> None:
    kept, _ = enter(hub, 1, 1, clock.now + HOUR)
    for number in range(5000):
        enter(hub, number, number, clock.now + HOUR)[1].close()
    assert len(hub._expiries) < 2000
    assert hub._table.keys() == {Line, 1, EVERYBODY}
    assert all(len(found) == 1 for found in hub._table.values())
    clock.now += HOUR
    hub.sweep()
    assert kept.told == ["Token expired"]
    assert len(hub._expiries) == 0


def test_what_was_renewed_since_the_check_of_a_token_goes_on_when_it_comes(
    hub: Hub, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked_at = monotonic()
    hub.renew(1, 10, clock.now + HOUR)
    late, other, later = Line(), Line(), Line()
    held, after = hub.open(late), hub.open(later)
    let_in(hub, held, 1, 10, clock.now + 30, checked_at)
    let_in(hub, hub.open(other), 1, 11, clock.now + 30, checked_at)
    let_in(hub, after, 1, 10, clock.now + 40)
    assert after.expires_at == clock.now + 40
    hub.sweep()
    assert (late.told, other.told) == ([], [clock.now + 30])
    assert held.expires_at == clock.now + HOUR
    monkeypatch.setattr(hub_module, "REMEMBERED_SECONDS", -1.0)
    hub.sweep()
    assert not hub._renewed
