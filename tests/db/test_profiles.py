"""Changes of profiles: written together, each as if it came alone; pictures are used once."""

import asyncio
import random

import pytest
from sqlalchemy import select, text
from sqlmodel import col

from db.engines.database import Database
from db.log.changes.accounts import DeleteAccount
from db.log.changes.change import AccountEnded
from db.log.changes.profiles import ChangeProfile, UnknownAvatar
from db.models import EVERYBODY_ID, Avatar, StoredAvatar
from db.people import avatars, users
from db.storage import stored_bytes
from events.facts import Fact, Members, UserChanged
from tests.conftest import on_sqlite
from tests.db.rows import NOW, add_users
from tests.db.test_mixtures import LATER, NOBODY, Process
from tests.support.statements import statements_sent

QUOTA = 1000
LARGE, SMALL = 200, 50


def key(number: int) -> str:
    return f"{number:032x}"


async def reserve(database: Database, user_id: int, *numbers: int, quota: int = QUOTA) -> bool:
    """Reserve pictures for a user; return whether all had room."""
    async with database.write() as connection:
        return all(
            [
                await avatars.reserve(
                    connection, StoredAvatar(key(number), LARGE, SMALL), user_id, quota, NOW
                )
                for number in numbers
            ]
        )


async def used(database: Database) -> set[str]:
    """The pictures that are in use."""
    async with database.read() as connection:
        rows = await connection.execute(select(col(Avatar.key)).where(col(Avatar.in_use).is_(True)))
        return set(rows.scalars())


async def test_each_change_of_a_batch_sees_those_before_it(database: Database) -> None:
    one, two = await add_users(database, 2)
    process = Process(database)
    await reserve(database, one, 1, 2)
    changes = [
        ChangeProfile(one, display_name="A"),
        ChangeProfile(two, status_text="s"),
        ChangeProfile(one, display_name="A"),
        ChangeProfile(one, avatar_key=key(1)),
        ChangeProfile(one, avatar_key=key(2), status_text="t"),
        ChangeProfile(two, avatar_key=key(1)),
        ChangeProfile(NOBODY, display_name="x"),
        ChangeProfile(two, avatar_key=""),
    ]
    outcomes = await asyncio.gather(*map(process.attempt, changes))
    assert [outcome and getattr(outcome, "id", type(outcome)) for outcome in outcomes] == [
        1, 2, None, 3, 4, UnknownAvatar, AccountEnded, None,
    ]  # fmt: skip
    assert {type(fact) for fact in process.told} == {Fact}
    for fact in process.told:
        assert isinstance(fact, Fact)
        assert (fact.body, fact.audience) == (UserChanged(), Members(EVERYBODY_ID))
    async with database.read() as connection:
        found = await users.find_users(connection, [one, two])
    assert (found[one].display_name, found[one].status_text) == ("A", "t")
    assert (found[one].avatar_key, found[two].avatar_key) == (key(2), None)
    assert found[two].status_text == "s"
    assert await used(database) == {key(2)}
    await process.log.close()


async def test_a_picture_that_was_used_or_claimed_is_not_used_again(database: Database) -> None:
    [one] = await add_users(database, 1)
    process = Process(database)
    await reserve(database, one, 1, 2)
    await process.attempt(ChangeProfile(one, avatar_key=key(1)))
    again = await process.attempt(ChangeProfile(one, avatar_key=key(1), status_text="x"))
    assert isinstance(again, UnknownAvatar)
    async with database.write() as connection:
        assert [*await avatars.claim_unused(connection, LATER, 9)] == [key(2)]
    assert isinstance(await process.attempt(ChangeProfile(one, avatar_key=key(2))), UnknownAvatar)
    assert await used(database) == {key(1)}
    await process.log.close()


async def test_a_picture_counts_until_it_is_forgotten(database: Database) -> None:
    [one] = await add_users(database, 1)
    process = Process(database)

    async def taken() -> int:
        async with database.read() as connection:
            return await stored_bytes(connection, one)

    assert not await reserve(database, one, 1, 2, 3, 4, 5)
    async with database.write() as connection:
        claimed = await avatars.claim_unused(connection, LATER, 9, owner_id=one)
        assert len(claimed) == 4
        # Claimed again, after a process that died, it is given back once.
        assert {*await avatars.claim_unused(connection, LATER, 9)} == {*claimed}
        await avatars.forget(connection, claimed)
        await avatars.forget(connection, claimed)
    assert await taken() == 0
    await reserve(database, one, 7)
    await process.attempt(ChangeProfile(one, avatar_key=key(7)))
    async with database.write() as connection:
        assert not await avatars.claim_unused(connection, LATER, 9)
        assert not await avatars.claim_unused(connection, LATER, 9, keys=[key(7)])
        await avatars.forget(connection, [key(7)])
        assert await avatars.find_avatar(connection, key(7)) is not None
    assert await taken() == LARGE + SMALL
    await process.attempt(DeleteAccount(one))
    assert await used(database) == set()
    async with database.write() as connection:
        assert await avatars.find_avatar(connection, key(7)) is None
        assert [*await avatars.claim_unused(connection, NOW, 9)] == [key(7)]
    await process.log.close()


@pytest.mark.parametrize("seed", range(3))
async def test_any_batches_come_to_what_one_by_one_would(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    people = await add_users(database, 4)
    process = Process(database)
    names = dict.fromkeys(people, "")
    pictures: dict[int, str | None] = dict.fromkeys(people)
    for round_ in range(6):
        changes = []
        for number in range(chance.randint(1, 10)):
            user_id, picture = chance.choice(people), None
            if chance.random() < 0.5:
                picture = key(100 * round_ + number + 1)
                await reserve(database, user_id, 100 * round_ + number + 1, quota=0)
            elif chance.random() < 0.3:
                picture = ""
            name = chance.choice([None, "A", "B", "C"])
            changes.append(ChangeProfile(user_id, name, None, picture))
        outcomes = await asyncio.gather(*map(process.attempt, changes))
        for change, outcome in zip(changes, outcomes, strict=True):
            before = names[change.user_id], pictures[change.user_id]
            if change.display_name is not None:
                names[change.user_id] = change.display_name
            if change.avatar_key is not None:
                pictures[change.user_id] = change.avatar_key or None
            is_fact = isinstance(outcome, Fact)
            assert is_fact is ((names[change.user_id], pictures[change.user_id]) != before)
        async with database.read() as connection:
            found = await users.find_users(connection, people)
        assert {id_: user.avatar_key for id_, user in found.items()} == pictures
        assert await used(database) == {picture for picture in pictures.values() if picture}
    await process.log.close()


async def test_a_batch_costs_few_statements(database: Database) -> None:
    people = await add_users(database, 20)
    process = Process(database)
    with statements_sent(here=True) as sent:
        await asyncio.gather(
            *(process.attempt(ChangeProfile(id_, status_text="x")) for id_ in people)
        )
    # The log may take the first changes as a batch of their own.
    assert len([statement for statement, _ in sent if "status_text" in statement]) <= 2
    await process.log.close()


@on_sqlite  # the plans of one are enough
async def test_the_sweep_and_the_removal_of_ones_own_are_ranges(database: Database) -> None:
    async with database.read() as connection:
        for condition, index in (
            ("in_use = 0 AND changed_at < '2026-01-01'", "ix_avatars_used_changed"),
            ("owner_id = 1", "ix_avatars_owner"),
        ):
            query = f"EXPLAIN QUERY PLAN SELECT * FROM avatars WHERE {condition}"
            [plan] = (await connection.execute(text(query))).all()
            assert index in plan[-1]
