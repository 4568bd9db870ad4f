"""Which messages go into one transaction, and when it goes."""

import asyncio
from collections.abc import Sequence

import pytest

from db.engines.database import Database
from db.log import log as log_module
from db.models import StoredMessage
from tests.db.rows import add_users, draft, open_database, running_log


async def test_a_batch_is_bounded_in_bytes_too(database: Database) -> None:
    [user] = await add_users(database, 1)
    largest = "x" * 60_000
    batches: list[Sequence[StoredMessage]] = []
    async with running_log(database, committed=batches.append) as log:
        await asyncio.gather(*(log.append(draft(user, None, largest)) for _ in range(20)))
    assert [len(batch) for batch in batches] == [8, 8, 4]
    assert 8 * 4 * len(largest) <= log_module.MAX_BATCH_BYTES < 9 * 4 * len(largest)


@pytest.mark.parametrize(("waiting", "sizes"), [(16, [16]), (100, [50, 50]), (1000, [256] * 4)])
async def test_many_that_wait_are_stored_in_halves(
    database: Database, waiting: int, sizes: list[int]
) -> None:
    [user] = await add_users(database, 1)
    batches: list[int] = []
    async with running_log(database, committed=lambda b: batches.append(len(b))) as log:
        await asyncio.gather(*(log.append(draft(user)) for _ in range(waiting)))
    assert sum(batches) == waiting
    assert batches[: len(sizes) - 1] == sizes[:-1]


@pytest.mark.parametrize(("shared", "sizes"), [(False, [8, 1, 1]), (True, [8, 2])])
async def test_where_others_append_a_busy_writer_lets_its_batches_grow(
    database: Database,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    shared: bool,
    sizes: list[int],
) -> None:
    monkeypatch.setattr(log_module, "GATHER_SECONDS", 0.4)
    monkeypatch.setattr(log_module, "OTHERS_SECONDS", 60)
    other_database = open_database(database_url)
    [user] = await add_users(database, 1)
    batches: list[int] = []
    async with (
        running_log(database, committed=lambda b: batches.append(len(b))) as log,
        running_log(other_database) as other,
    ):
        await log.append(draft(user))
        await (other if shared else log).append(draft(user))
        del batches[:]
        await asyncio.gather(*(log.append(draft(user)) for _ in range(8)))
        first = log.append(draft(user))
        await asyncio.wait({first}, timeout=0.2)
        await asyncio.gather(first, log.append(draft(user)))
    assert batches == sizes
    await other_database.close()


async def test_the_next_batch_is_on_its_way_before_the_last_is_told_of(database: Database) -> None:
    [user] = await add_users(database, 1)
    told: list[int] = []

    def committed(batch: Sequence[StoredMessage]) -> None:
        told.extend(message.id for message in batch)
        if told[-1] == 1:
            more.append(log.append(draft(user, user, "third")))  # LogFull, while the second waits

    more: list[asyncio.Future[StoredMessage]] = []
    async with running_log(database, max_pending=1, committed=committed) as log:
        first = log.append(draft(user, user, "first"))
        await asyncio.sleep(0)  # it is taken
        second = log.append(draft(user, user, "second"))
        assert [(await first).id, (await second).id, (await more[0]).id] == [1, 2, 3]
    assert told == [1, 2, 3]
