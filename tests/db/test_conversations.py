"""Conversations as the log's writers keep them: one a pair, and about when each was active."""

import random

import pytest
from sqlalchemy import func, select, text
from sqlmodel import col

from db.engines.database import Database
from db.log import conversations as kept
from db.models import EVERYBODY_ID, Conversation, Member, Message
from tests.db.rows import add_users, draft, everything, open_database, running_log


async def test_both_ways_between_two_people_are_one_conversation(database: Database) -> None:
    one, two, three = await add_users(database, 3)
    async with running_log(database) as log:
        for sender, receiver in ((one, two), (two, one), (three, one), (one, one), (two, None)):
            await log.append(draft(sender, receiver))
    first, back, other, own, broadcast = [m.conversation_id for m in await everything(database)]
    assert first == back
    assert broadcast == EVERYBODY_ID
    assert len({first, other, own, broadcast}) == 4
    async with database.read() as connection:
        rows = await connection.execute(
            select(col(Member.conversation_id), col(Member.user_id), col(Member.read_position))
        )
        assert {tuple(row) for row in rows} == {
            (first, one, 0),
            (first, two, 0),
            (other, one, 0),
            (other, three, 0),
            (own, one, 0),
        }


async def test_processes_that_begin_a_conversation_at_once_begin_one(
    database: Database, database_url: str
) -> None:
    one, two = await add_users(database, 2)
    other_database = open_database(database_url)
    async with running_log(database) as log, running_log(other_database) as other:
        futures = [log.append(draft(one, two)), other.append(draft(two, one))]
        ids = {(await future).conversation_id for future in futures}
        ids.add((await log.append(draft(two, one))).conversation_id)
    await other_database.close()
    assert len(ids) == 1
    async with database.read() as connection:
        count = select(func.count()).select_from(Conversation)
        assert (await connection.execute(count)).scalar() == 2  # with everybody's


async def test_activity_never_lies_further_behind_than_it_may(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "ACTIVITY_STEP", 10)
    monkeypatch.setattr(kept, "MOST_BEHIND", 20)
    users = await add_users(database, 4)
    other_database = open_database(database_url)
    chance = random.Random(7)
    written = set()
    last_and_activity = (
        select(func.max(col(Message.id)), col(Member.activity))
        .join(Member, col(Member.conversation_id) == col(Message.conversation_id))
        .where(col(Message.receiver_id).is_not(None))
        .group_by(col(Member.conversation_id), col(Member.user_id), col(Member.activity))
    )
    async with running_log(database) as log, running_log(other_database) as other:
        for _ in range(60):
            # One process writes much, while the other knows nothing of it.
            writer = chance.choice([log, other])
            for _ in range(chance.choice([1, 1, 30])):
                one, two = chance.sample(users[:3], 2) if writer is log else users[2:]
                await writer.append(draft(one, chance.choice([two, two, None])))
            async with database.read() as connection:
                for last, activity in await connection.execute(last_and_activity):
                    assert last - 20 <= activity <= last + 20
                    written.add(activity)
    await other_database.close()
    assert len(written) > 20


async def test_a_log_that_has_gone_back_is_looked_at_anew(database: Database) -> None:
    one, two, three = await add_users(database, 3)
    async with running_log(database) as log:
        await log.append(draft(one, two))
        await log.append(draft(one, two))
        lost = (await log.append(draft(one, two))).conversation_id
        async with database.write() as connection:
            for table in ("messages", "members", "conversations"):
                await connection.execute(text(f"DELETE FROM {table}"))
            await connection.execute(text("UPDATE log_head SET position = 1"))
            await connection.execute(
                text(
                    "INSERT INTO conversations (id, kind, lower_user_id, higher_user_id,"
                    " shows_earlier, created_at) VALUES"
                    " (:id, 'DIRECT', :one, :three, 1, '2026-01-02 03:04:05')"
                ),
                {"id": lost, "one": one, "three": three},
            )
        if database.is_sqlite:
            log.forget()  # as the feed has it do: SQLite loses nothing by itself
        assert (await log.append(draft(one, two))).conversation_id != lost
