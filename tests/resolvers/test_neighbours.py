"""Other servers on the same database: noticed by their messages, told of once, and polled for."""

import asyncio
import logging
from pathlib import Path

import pytest

from db.log.reader import LogReader
from events.bus.bus import LoneBus
from resolvers import messages
from resolvers.people import blocks
from resolvers.upkeep.neighbours import POLL_SECONDS, POLL_SECONDS_UNHEARD, Neighbours
from tests.faults.waits import until
from tests.resolvers.conftest import join, running_context


def _warnings(caplog: pytest.LogCaptureFixture) -> int:
    return sum("the same REDIS_URL" in record.getMessage() for record in caplog.records)


async def test_a_server_that_stores_messages_is_told_of_once_and_polled_for(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "parley.main")
    async with (
        running_context(tmp_path / "1", database_url=database_url) as one,
        running_context(tmp_path / "2", database_url=database_url) as two,
    ):
        alice, bob = await join(one), await join(two)
        for _ in range(2):
            for sender in (alice, bob):
                sent = await messages.send_message(sender, receiver_id=None, content="x")
            await until(lambda: one.feed.position == two.feed.position >= sent.id, 5)  # noqa: B023  # awaited at once
        await until(lambda: _warnings(caplog) == 2, 5)  # one of each
        reader = LogReader(one.db)
        assert await reader.read_head() == sent.id
        entries = await reader.read_entries(sent.id - 2, sent.id, 9)
        assert [entry.id for entry in entries] == [sent.id - 1, sent.id]
        assert await reader.read_written(sent.id - 2, 9) == (sent.id, entries)
        assert await reader.read_written(0, 0) == (sent.id, [])


async def test_facts_alone_are_no_server(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_context(tmp_path, database_url=database_url) as ctx:
        alice, bob = await join(ctx), await join(ctx)
        await blocks.block_user(alice, bob.user.id)  # as the command line stores one
        neighbours = Neighbours(ctx.db, None)
        head = ctx.feed.position
        neighbours.look(head, head)
        await asyncio.gather(*(t for t in asyncio.all_tasks() if t.get_name() == "neighbours"))
        assert (_warnings(caplog), neighbours.poll_seconds()) == (0, POLL_SECONDS)
        sent = await messages.send_message(alice, receiver_id=None, content="x")
        neighbours.look(head, sent.id)
        await asyncio.gather(*(t for t in asyncio.all_tasks() if t.get_name() == "neighbours"))
        assert (_warnings(caplog), neighbours.poll_seconds()) == (1, POLL_SECONDS_UNHEARD)


@pytest.mark.parametrize(
    ("connected", "seconds"), [(True, POLL_SECONDS), (False, POLL_SECONDS_UNHEARD)]
)
def test_with_redis_others_are_polled_for_while_it_is_away(
    caplog: pytest.LogCaptureFixture, connected: bool, seconds: float
) -> None:
    bus = LoneBus()
    bus.connected = connected
    neighbours = Neighbours(None, bus)  # type: ignore[arg-type]  # nothing is looked for
    neighbours.notice()
    assert (_warnings(caplog), neighbours.poll_seconds()) == (0, seconds)
