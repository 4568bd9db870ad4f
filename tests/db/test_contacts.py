"""Contacts: whoever exchanged a direct message, found by index ranges."""

import random

import pytest
from sqlalchemy import insert, text

from db.engines.database import Database
from db.models import Conversation, Member
from db.people import contacts
from tests.db.rows import NOW, add_messages, add_users
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


async def test_group_mates_are_those_who_are_in_a_group_together_now(database: Database) -> None:
    one, two, three, four, five = await add_users(database, 5)
    stays: dict[int, dict[int, int | None]] = {
        10: {one: None, two: None, three: 7},
        11: {one: 7, four: None},
        12: {two: None, five: None},
    }
    async with database.write() as connection:
        for group, members in stays.items():
            values = {"id": group, "kind": "GROUP", "shows_earlier": False, "created_at": NOW}
            await connection.execute(insert(Conversation).values(values))
            rows = [
                {
                    "conversation_id": group,
                    "user_id": user_id,
                    "role": "MEMBER",
                    "joined_position": 0,
                    "left_position": left,
                    "activity": 0,
                    "read_position": 0,
                    "archived": False,
                    "pinned": False,
                }
                for user_id, left in members.items()
            ]
            await connection.execute(insert(Member), rows)
    await add_messages(database, [(three, four)])  # no group
    mates = {one: {two}, two: {one, five}, three: set(), four: set(), five: {two}}
    async with database.read() as connection:
        for user_id, wanted in mates.items():
            assert await contacts.group_mates(connection, user_id, limit=9) == wanted
            for other in mates.keys() - {user_id}:
                shared = await contacts.share_a_group(connection, user_id, other)
                assert shared is (other in wanted)
        assert await contacts.members_of(connection, 10) == {one, two}
        assert len(await contacts.group_mates(connection, two, limit=1)) == 1
