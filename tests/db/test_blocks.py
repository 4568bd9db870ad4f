"""Who has blocked whom: stored once, read in pages, and hidden from pages of messages."""

import asyncio
import random

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db import messages
from db.engines.database import Database
from db.log.admission import Admission
from db.log.drafts import BroadcastRefused, KeyReused, UnknownReceiver
from db.people import blocks
from tests.db.rows import NOW, add_messages, add_users, draft, expect_dense, make_log

NOBODY = 2**40


async def _block(database: Database, *pairs: tuple[int, int]) -> None:
    for pair in pairs:
        async with database.write() as connection:
            await blocks.insert_blocks(connection, [pair], NOW)


async def test_a_pair_is_stored_once_and_each_way_is_its_own(database: Database) -> None:
    one, two, three = await add_users(database, 3)
    await _block(database, (one, two), (two, one), (one, three))
    with pytest.raises(IntegrityError):
        await _block(database, (one, two))
    with pytest.raises(IntegrityError):
        await _block(database, (one, NOBODY))
    async with database.write() as connection:
        assert sorted(await blocks.blocked_ids(connection, one)) == [two, three]
        await blocks.delete_blocks(connection, [(one, two), (three, one)])
        found = await blocks.blocked_by(connection, [one, two, three])
        assert found == {one: {three}, two: {one}}


async def test_all_are_read_in_pages(database: Database) -> None:
    people = await add_users(database, 6)
    pairs = sorted((one, two) for one in people for two in people if one != two)
    await _block(database, *random.Random(1).sample(pairs, len(pairs)))
    found: list[tuple[int, int]] = []
    async with database.read() as connection:
        while page := await blocks.page_blocks(connection, found[-1] if found else (0, 0), 7):
            assert len(page) <= 7
            found += page
    assert found == pairs


@pytest.mark.parametrize("seed", range(3))
async def test_pages_leave_out_what_those_apart_wrote_to_everybody(
    database: Database, seed: int
) -> None:
    chance = random.Random(seed)
    people = await add_users(database, 5)
    log = [(chance.choice(people), chance.choice([None, None, *people])) for _ in range(120)]
    await add_messages(database, log)
    pairs = [(a, b) for a in people for b in people if a != b and chance.random() < 0.2]
    await _block(database, *pairs)
    async with database.read() as connection:
        for viewer in people:
            apart = {b for a, b in pairs if a == viewer} | {a for a, b in pairs if b == viewer}
            visible = [
                id_
                for id_, (sender, receiver) in enumerate(log, 1)
                if viewer in (sender, receiver) or (receiver is None and sender not in apart)
            ]
            for id_ in range(1, len(log) + 1):
                found = await messages.find_visible(connection, viewer, id_)
                assert (found is not None) is (id_ in visible)
            for _ in range(10):
                after, limit = chance.randint(0, len(log)), chance.randint(0, 30)
                newest = chance.random() < 0.5
                page = await messages.page_messages(
                    connection, viewer, after=after, newest=newest, limit=limit
                )
                wanted = [id_ for id_ in visible if id_ > after]
                wanted = wanted[max(0, len(wanted) - limit) :] if newest else wanted[:limit]
                assert [message.id for message in page] == wanted


async def test_a_batch_is_stored_but_for_what_is_not_permitted(database: Database) -> None:
    one, two, three = await add_users(database, 3)
    apart: dict[int, set[int]] = {}
    admission = Admission(apart=apart)
    log = make_log(database, admission=admission)
    log.start()
    first = await log.append(draft(one, two, "first", "key"))
    apart |= {one: {two}, two: {one}}
    outcomes = await asyncio.gather(
        log.append(draft(one, three, "a")),
        log.append(draft(one, two, "b")),
        log.append(draft(two, one, "c", "new")),
        log.append(draft(one, two, "first", "key")),
        log.append(draft(three, one, "d")),
        log.append(draft(one, None, "e")),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], UnknownReceiver)
    assert isinstance(outcomes[2], UnknownReceiver)
    assert outcomes[3] == first
    with pytest.raises(UnknownReceiver):
        await log.append(draft(one, two, "another", "key"))
    with pytest.raises(KeyReused):
        await log.append(draft(one, three, "another", "key"))
    apart.clear()
    again = await log.append(draft(two, one, "c", "new"))
    await log.close()
    stored = [message.content for message in await expect_dense(database)]
    assert stored == ["first", "a", "d", "e", "c"]
    assert again.id == 5


@pytest.mark.parametrize("broadcasters", ["everyone", "admins", "off"])
async def test_broadcasts_are_stored_by_the_setting(database: Database, broadcasters: str) -> None:
    admin, other = await add_users(database, 2)
    async with database.write() as connection:
        await connection.execute(
            text("UPDATE users SET is_admin = :yes WHERE id = :id"), {"yes": True, "id": admin}
        )
    judge = Admission(broadcasters=broadcasters)  # type: ignore[arg-type]  # one of them
    log = make_log(database, admission=judge)
    log.start()
    outcomes = await asyncio.gather(
        log.append(draft(admin)),
        log.append(draft(other)),
        log.append(draft(other, admin)),
        return_exceptions=True,
    )
    refused = [isinstance(outcome, BroadcastRefused) for outcome in outcomes]
    assert (
        refused
        == {
            "everyone": [False, False, False],
            "admins": [False, True, False],
            "off": [True, True, False],
        }[broadcasters]
    )
    await log.close()
    assert len(await expect_dense(database)) == 3 - sum(refused)
