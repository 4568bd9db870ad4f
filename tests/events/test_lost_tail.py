"""Reads that lag, a log that lost its tail, and entries of a server that announces nothing."""

import asyncio

import pytest

from events import feed as feed_module
from tests.events.test_feed import BROADCAST, Log, _feed
from tests.faults.waits import until


async def test_what_was_announced_is_read_where_it_is_written_when_reads_lag() -> None:
    log = Log()
    async with _feed(log) as (feed, reader):
        log.append(BROADCAST)  # whose announcement is lost
        log.behind = 2
        feed.announce(log.append(BROADCAST))
        assert await reader.reach(2) == [1, 2]


async def test_what_nobody_has_yet_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    async with _feed(log) as (feed, reader):
        log.append(BROADCAST)
        ahead = log.append(BROADCAST)
        # The node that this process writes to is behind too, as a cluster's may be.
        there, log.lines = log.lines, []
        feed.announce(ahead)
        await asyncio.sleep(3 * feed_module.BEHIND_SECONDS)
        assert reader.ids == []
        log.lines = there
        assert await reader.reach(2) == [1, 2]
        assert "ERROR" not in caplog.text


async def test_an_announcement_of_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feed_module, "PROMISE_SECONDS", 0.3)
    log, other = Log(), Log()
    other.append(*[BROADCAST] * 50)
    async with _feed(log) as (feed, reader):
        feed.announce(other.append(BROADCAST))
        await until(lambda: "Position 51 was announced, and is not in the log" in caplog.text, 5)
        feed.announce(log.append(BROADCAST))
        assert await reader.reach(1) == [1]


async def test_lagging_reads_are_no_loss(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    async with _feed(log, poll_seconds=0.02) as (feed, reader):
        feed.announce(log.append(*[BROADCAST] * 20))
        log.behind = 15
        await asyncio.sleep(0.3)
        feed.announce(log.append(BROADCAST))
        assert reader.ids == [*range(1, 22)]
        assert reader.interruptions == 0
    assert "lost" not in caplog.text


@pytest.mark.parametrize("new", [0, 1, 9, 10, 40])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_log_that_lost_its_tail_is_followed_from_where_it_goes_on(
    new: int, announced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    async with _feed(log, poll_seconds=0.05) as (feed, reader):
        for _ in range(30):
            feed.announce(log.append(BROADCAST))
        del log.lines[20:]
        facts = [log.append(BROADCAST) for _ in range(new)]
        if announced:
            for fact in facts:
                feed.announce(fact)
        await until(lambda: reader.interruptions == 1, 5)
        await until(lambda: feed.position == 20 + new, 5)
        assert reader.ids == [*range(1, 31), *range(21, 21 + new)]
        assert [line.created_at for line in reader.items[30:]] == [
            line.created_at for line in log.lines[20:]
        ]
        feed.announce(log.append(BROADCAST))
        assert reader.ids[-1] == 21 + new
        # Whoever comes back with what they saw last goes on from where the log does.
        assert [feed.resume_from(after) for after in (19, 20, 21, 30)] == [19, 20, 20, 20]
        assert feed.resume_from(31) == 31
        assert reader.interruptions == 1
    assert "The log has lost its last 10 positions, 21 to 30" in caplog.text


async def test_a_cursor_from_before_a_loss_is_one_of_the_new_log_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "STALE_CURSOR_SECONDS", 0.2)
    log = Log()
    async with _feed(log, poll_seconds=0.02) as (feed, reader):
        feed.announce(log.append(*[BROADCAST] * 30))
        del log.lines[20:]
        await until(lambda: reader.interruptions == 1, 5)
        feed.announce(log.append(*[BROADCAST] * 5))
        await until(lambda: feed.resume_from(23) == 23, 5)
        assert feed.resume_from(28) == 20  # still ahead of the log


async def test_entries_that_nobody_announced_are_anothers_and_ones_own_are_not() -> None:
    log, others = Log(), []
    async with _feed(log, poll_seconds=0.05, others=lambda: others.append(1)) as (feed, reader):
        # Read before its announcement, as one's own may be.
        own = log.append(BROADCAST)
        assert await reader.reach(1) == [1]
        feed.announce(own)
        await asyncio.sleep(0.15)
        assert not others
        log.append(BROADCAST)
        assert await reader.reach(2) == [1, 2]
        await until(lambda: bool(others), 5)
