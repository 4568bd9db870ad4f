"""Contacts: whoever exchanged a direct message, found by index ranges."""

import random

import pytest
from sqlalchemy import text

from db import contacts
from db.engines.database import Database
from tests.db.rows import add_messages, add_users
from tests.support.statements import statements_sent


@pytest.mark.parametrize("seed", range(3))
async def test_contacts_are_those_of_direct_messages_either_way(
    database: Database, seed: int
) -> None:
    chance = random.Random(seed)
    people = await add_users(database, 8)
    log = [(chance.choice(people), chance.choice([None, *people])) for _ in range(15)]
    await add_messages(database, log)
    async with database.read() as connection:
        for viewer in people:
            wanted = {
                other
                for pair in log
                if None not in pair and viewer in pair
                for other in pair
                if other is not None and other != viewer
            }
            assert await contacts.contact_ids(connection, viewer, limit=100) == wanted
            for other in people:
                if other != viewer:
                    found = await contacts.are_contacts(connection, viewer, other)
                    assert found is (other in wanted)


async def test_no_more_contacts_are_read_than_the_limit(database: Database) -> None:
    one, *others = await add_users(database, 6)
    await add_messages(database, [(one, other) for other in others])
    async with database.read() as connection:
        assert len(await contacts.contact_ids(connection, one, limit=3)) == 3


async def test_a_broadcast_is_looked_for_past_where_the_viewer_joined(database: Database) -> None:
    one, two, three = await add_users(database, 3)
    await add_messages(database, [(one, None), (one, two), (two, one)])
    async with database.read() as connection:
        found = [
            await contacts.has_broadcast_to(connection, sender, three, after)
            for sender, after in ((one, 0), (one, 1), (two, 0))
        ]
    assert found == [True, False, False]


async def test_contacts_are_two_ranges_of_their_indexes(database: Database) -> None:
    people = await add_users(database, 100)
    pairs = [(one, two) for one in people for two in people]
    await add_messages(database, [pairs[number * 37 % len(pairs)] for number in range(10_000)])
    async with database.write() as connection:
        each = "ANALYZE" if database.is_sqlite else "ANALYZE TABLE messages"
        await connection.execute(text(each))
    async with database.read() as connection:
        with statements_sent() as sent:
            found = await contacts.contact_ids(connection, people[0], limit=1000)
        assert found == {*people[1:]}
        explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        for (statement, values), index in zip(
            sent, ("ix_messages_sender", "ix_messages_receiver"), strict=True
        ):
            rows = await connection.exec_driver_sql(f"{explain} {statement}", tuple(values))
            plan = [dict(row) for row in rows.mappings()]
            if database.is_sqlite:
                assert f"SEARCH messages USING INDEX {index}" in plan[0]["detail"], plan
            else:
                assert (plan[0]["type"], plan[0]["key"]) in {("ref", index), ("range", index)}, plan
