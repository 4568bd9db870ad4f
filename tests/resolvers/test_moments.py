"""How moments look."""

from datetime import UTC, datetime

import pytest

from server.moments import wire_moment


@pytest.mark.parametrize("microsecond", [0, 1, 100, 123_000, 999_999])
def test_a_moment_has_six_digits(microsecond: int) -> None:
    moment = datetime(2026, 11, 22, 9, 30, 0, microsecond, tzinfo=UTC)
    assert wire_moment(moment) == f"2026-11-22T09:30:00.{microsecond:06}Z"
