"""The log: dense, in order, each message once, and each caller told the truth."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

from db import migrate
from db.engines.database import Database, DatabaseUnavailable
from db.log.drafts import KeyReused, LogFull, UnknownReceiver
from db.log.log import MessageLog
from db.models import StoredMessage
from resolvers.people.presence import record_last_seen
from tests.db.rows import (
    NOW,
    add_users,
    draft,
    everything,
    expect_dense,
    make_log,
    open_database,
    running_log,
)
from tests.support.mariadb import MariaDB

NOBODY = 2**40


async def test_ids_are_dense_and_in_the_order_of_appending(database: Database) -> None:
    one, two = await add_users(database, 2)
    batches: list[Sequence[StoredMessage]] = []
    async with running_log(database, committed=batches.append) as log:
        sent = await asyncio.gather(
            *(log.append(draft(one, two, f"{number}")) for number in range(600))
        )
    assert [message.content for message in sent] == [f"{number}" for number in range(600)]
    assert await expect_dense(database) == sent
    # Announced once each, in order; and what waited was stored together.
    assert [message for batch in batches for message in batch] == sent
    assert [len(batch) for batch in batches] == [256, 256, 88]


async def test_what_cannot_be_stored_fails_alone(database: Database) -> None:
    one, two = await add_users(database, 2)
    async with running_log(database) as log:
        outcomes = await asyncio.gather(
            log.append(draft(one, two, "first", "a")),
            log.append(draft(one, NOBODY, "to nobody")),
            log.append(draft(one, two, "first", "a")),
            log.append(draft(one, two, "not first", "a")),
            log.append(draft(NOBODY, one, "from nobody")),
            log.append(draft(two, one, "first", "a")),
            log.append(draft(one, None, "last")),
            return_exceptions=True,
        )
        first, to_nobody, again, other_body, from_nobody, other_sender, last = outcomes
        assert isinstance(first, StoredMessage)
        assert again == first
        for refused, reason in (
            (to_nobody, UnknownReceiver),
            (from_nobody, UnknownReceiver),
            (other_body, KeyReused),
        ):
            assert isinstance(refused, reason)
        assert await expect_dense(database) == [first, other_sender, last]
        # The same, when the key was stored long before.
        later = await asyncio.gather(
            log.append(draft(one, two, "new")),
            log.append(draft(one, two, "first", "a")),
            log.append(draft(one, NOBODY, "first", "b")),
            log.append(draft(one, one, "first", "a")),
            log.append(draft(one, two, "newer", "b")),
            return_exceptions=True,
        )
    assert later[1] == first
    assert isinstance(later[2], UnknownReceiver)
    assert isinstance(later[3], KeyReused)
    # The key of a draft that was refused is free, but not in the batch that refused it.
    assert isinstance(later[4], KeyReused | UnknownReceiver)
    assert await expect_dense(database) == [first, other_sender, last, later[0]]


async def test_the_key_of_a_refused_draft_is_free(database: Database) -> None:
    one, two = await add_users(database, 2)
    async with running_log(database) as log:
        with pytest.raises(UnknownReceiver):
            await log.append(draft(one, NOBODY, "x", "key"))
        assert (await log.append(draft(one, two, "x", "key"))).client_message_id == "key"


async def test_a_user_seen_once_and_gone_since_is_unknown(database: Database) -> None:
    one, two = await add_users(database, 2)
    async with running_log(database) as log:
        log._admission.known_users[NOBODY] = True
        outcomes = await asyncio.gather(
            log.append(draft(one, two, "a")),
            log.append(draft(one, NOBODY, "b")),
            log.append(draft(one, two, "c", "key")),
            return_exceptions=True,
        )
    assert isinstance(outcomes[1], UnknownReceiver)
    assert [message.content for message in await expect_dense(database)] == ["a", "c"]


async def test_two_processes_share_one_order(database: Database, database_url: str) -> None:
    one, two = await add_users(database, 2)
    other_database = open_database(database_url)
    seen: list[StoredMessage] = []
    async with (
        running_log(database, committed=seen.extend) as log,
        running_log(other_database, committed=seen.extend) as other,
    ):

        async def converse(process: MessageLog, name: str) -> list[StoredMessage]:
            sent: list[StoredMessage] = []
            for number in range(25):
                drafts = [draft(one, two, f"{name} {number} {part}") for part in range(4)]
                sent += await asyncio.gather(*(process.append(each) for each in drafts))
            return sent

        sent = await asyncio.gather(converse(log, "one"), converse(other, "two"))
    for mine in sent:
        assert [message.id for message in mine] == sorted(message.id for message in mine)
    stored = await expect_dense(database)
    assert stored == sorted([*sent[0], *sent[1]], key=lambda message: message.id)
    assert sorted(seen, key=lambda message: message.id) == stored
    await other_database.close()


async def test_a_retry_in_two_processes_at_once_is_one_message(
    database: Database, database_url: str
) -> None:
    one, two = await add_users(database, 2)
    other_database = open_database(database_url)
    async with running_log(database) as log, running_log(other_database) as other:
        for number in range(30):
            pair = await asyncio.gather(
                log.append(draft(one, two, "x", f"key {number}")),
                other.append(draft(one, two, "x", f"key {number}")),
            )
            assert pair[0] == pair[1]
    assert len(await expect_dense(database)) == 30
    await other_database.close()


async def test_three_processes_under_colliding_keys_neither_lose_nor_repeat(
    database: Database, database_url: str
) -> None:
    people = await add_users(database, 6)
    databases = [open_database(database_url) for _ in range(3)]
    announced: list[Any] = []
    logs = [make_log(each, max_pending=1000, committed=announced.extend) for each in databases]
    for log in logs:
        log.start()
    chance = random.Random(7)  # the same load each time

    async def send(log: MessageLog) -> list[StoredMessage | BaseException]:
        outcomes: list[StoredMessage | BaseException] = []
        for _ in range(10):
            drafts = [
                draft(
                    chance.choice(people),
                    chance.choice([*people, NOBODY]),
                    chance.choice("ab"),
                    chance.choice([None, *"01234567"]),
                )
                for _ in range(20)
            ]
            outcomes += await asyncio.gather(
                *(log.append(each) for each in drafts), return_exceptions=True
            )
        return outcomes

    async with asyncio.timeout(60):
        outcomes = [outcome for each in await asyncio.gather(*map(send, logs)) for outcome in each]
        for log in logs:
            await log.close()
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert {type(error) for error in refused} == {UnknownReceiver, KeyReused}
    stored = await expect_dense(database)
    assert {message.id: message for message in stored} == {
        outcome.id: outcome for outcome in outcomes if isinstance(outcome, StoredMessage)
    }
    assert sorted(announced, key=lambda message: message.id) == stored
    keys = [(m.sender_id, m.client_message_id) for m in stored if m.client_message_id]
    assert len(keys) == len(set(keys))
    for each in databases:
        await each.close()


async def test_beyond_the_limit_the_caller_is_told_and_what_waits_is_stored(
    database: Database,
) -> None:
    [user] = await add_users(database, 1)
    async with running_log(database, max_pending=3) as log:
        waiting = [log.append(draft(user)) for _ in range(3)]
        with pytest.raises(LogFull):
            log.append(draft(user))
        await asyncio.gather(*waiting)
        await log.append(draft(user))
    assert len(await expect_dense(database)) == 4


async def test_callers_that_go_away_harm_nobody(database: Database) -> None:
    [user] = await add_users(database, 1)
    async with running_log(database) as log:
        waiting = [log.append(draft(user, None, f"{number}")) for number in range(100)]
        for abandoned in waiting[::2]:
            abandoned.cancel()
        await asyncio.gather(*waiting[1::2])
        await log.append(draft(user, None, "end"))
        # While they are being written, too.
        waiting = [log.append(draft(user, None, f"{number}")) for number in range(100)]
        await asyncio.sleep(0)
        for abandoned in waiting[::2]:
            abandoned.cancel()
        kept = await asyncio.gather(*waiting[1::2])
    stored = await expect_dense(database)
    assert [message for message in stored if message in kept] == kept


@pytest.mark.parametrize("steps", [0, 1, 3, 10, 30])
async def test_a_retry_finds_out_what_became_of_an_abandoned_send(
    database: Database, steps: int
) -> None:
    [user] = await add_users(database, 1)
    async with running_log(database) as log:
        abandoned = log.append(draft(user, None, "x", "key"))
        retry = log.append(draft(user, None, "x", "key"))
        other = log.append(draft(user, None, "y", "key"))
        for _ in range(steps):  # how far the writer may get before the first caller leaves
            await asyncio.sleep(0)
        abandoned.cancel()
        assert (await retry).content == "x"
        with pytest.raises(KeyReused):
            await other
    assert await expect_dense(database) == [retry.result()]


@pytest.mark.parametrize("steps", [0, 1, 3, 10, 30, 100, 300])
async def test_who_comes_back_and_sends_again_keeps_its_order(
    database: Database, steps: int
) -> None:
    [user] = await add_users(database, 1)
    async with running_log(database) as log:
        await log.append(draft(user, None, "old", "0"))
        abandoned = [log.append(draft(user, None, key, key)) for key in ("1", "2")]
        again = [log.append(draft(user, None, "old", "0"))]  # stored: the batch needs a second try
        again += [log.append(draft(user, None, key, key)) for key in ("1", "2", "3", "4")]
        for _ in range(steps):  # how far the writer may get before the first connection's end
            await asyncio.sleep(0)
        for outcome in abandoned:
            outcome.cancel()
        ids = [message.id for message in await asyncio.gather(*again)]
    assert ids == sorted(ids)
    await expect_dense(database)


async def test_a_listener_that_fails_does_not_fail_the_senders(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    [user] = await add_users(database, 1)

    def fail(batch: Sequence[StoredMessage]) -> None:
        raise ZeroDivisionError

    async with running_log(database, committed=fail) as log:
        assert (await log.append(draft(user))).id == 1
    assert "A listener failed on the positions from 1" in caplog.text


async def test_closing_stores_what_waits_and_what_is_being_written(database: Database) -> None:
    [user] = await add_users(database, 1)
    for steps in (0, 1, 5, 20):
        log = make_log(database)
        log.start()
        waiting = [log.append(draft(user)) for _ in range(300)]
        for _ in range(steps):
            await asyncio.sleep(0)
        await asyncio.wait_for(log.close(), 10)
        assert all(each.done() for each in waiting)
        await asyncio.gather(*waiting)
        with pytest.raises(DatabaseUnavailable):
            log.append(draft(user))
        await log.close()
    assert len(await expect_dense(database)) == 1200


async def test_a_log_that_never_started_refuses_what_waits(database: Database) -> None:
    log = make_log(database)
    waiting = log.append(draft(1))
    await log.close()
    with pytest.raises(DatabaseUnavailable):
        await waiting


async def test_a_row_that_the_driver_refuses_fails_alone(database: Database) -> None:
    [user] = await add_users(database, 1)
    async with running_log(database) as log:
        # Nothing that operations let through; here it stands for whatever a database may refuse.
        outcomes = await asyncio.gather(
            *(log.append(draft(user, None, content)) for content in ("a", "\ud800", "b")),
            return_exceptions=True,
        )
        assert isinstance(outcomes[1], UnicodeEncodeError)
    assert await expect_dense(database) == [outcomes[0], outcomes[2]]


async def test_a_deadlock_is_nothing_that_senders_hear_of(mariadb: MariaDB) -> None:
    database = open_database(mariadb.url("log_deadlock"))
    await migrate.upgrade(database)
    one, two, *others = await add_users(database, 200)
    touch = text("UPDATE users SET password_hash = 'y' WHERE id = :id")
    waits = text("SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")
    async with running_log(database) as log, asyncio.timeout(20):
        async with database.write() as other:
            # It changes more rows than the log does: the loser of a deadlock is the log.
            for user in (one, *others):
                await other.execute(touch, {"id": user})
            sends = [log.append(draft(two, two)), log.append(draft(one, one))]
            while not (await other.execute(waits)).scalar():  # noqa: ASYNC110  # no event tells it
                await asyncio.sleep(0.15)  # asked sooner, it would repeat its last answer
            await other.execute(touch, {"id": two})
        stored = await asyncio.gather(*sends)
    assert await expect_dense(database) == stored
    await database.close()


async def test_presence_is_recorded_while_the_log_is_busy(
    database: Database, database_url: str
) -> None:
    people = await add_users(database, 20)
    other = open_database(database_url)
    record = record_last_seen(other)
    chance = random.Random(5)
    async with running_log(database) as log:
        over = asyncio.Event()

        async def churn() -> None:
            while not over.is_set():
                await record(people, NOW)

        churning = [asyncio.create_task(churn()) for _ in range(2)]
        for _ in range(40):
            pairs = [chance.sample(people, 2) for _ in range(10)]
            await asyncio.gather(*(log.append(draft(one, two)) for one, two in pairs))
        over.set()
        await asyncio.wait_for(asyncio.gather(*churning), 20)
    await other.close()
    assert len(await expect_dense(database)) == 400


async def test_an_empty_log_has_nothing(database: Database) -> None:
    async with running_log(database):
        pass
    assert await everything(database) == []
