"""The list of conversations: a model's, page by page, and by ranges of indexes."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from db import migrate
from db.conversations import listing, marks
from db.engines.database import Database
from db.messages import head_position
from db.models import EVERYBODY_ID, ListedConversation, Member, StoredMessage
from tests.conftest import fresh_database_url
from tests.db.rows import add_users, draft, everything, open_database, running_log
from tests.support.statements import statements_sent

PEOPLE = 60


@pytest.fixture(scope="module")
async def busy(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Database, list[int]]]:
    """Somebody with conversations with 59 others, which lie thousands of messages apart."""
    database = open_database(fresh_database_url(engine, request, tmp_path_factory.mktemp("busy")))
    await migrate.upgrade(database)
    people = await add_users(database, PEOPLE)
    me, *others = people
    chance = random.Random(5)
    async with running_log(database) as log:
        for _ in range(400):
            other = chance.choice(others)
            sender, receiver = chance.choice([(me, other), (other, me), (other, None)])
            await log.append(draft(sender, receiver))
            pairs = [chance.sample(others, 2) for _ in range(chance.choice([0, 0, 60]))]
            noise = [draft(one, two) for one, two in pairs]
            for future in [log.append(each) for each in noise]:
                await future
    async with database.write() as connection:
        rows = await connection.execute(
            text(f"SELECT conversation_id FROM members WHERE user_id = {me} ORDER BY 1")
        )
        mine = [row[0] for row in rows]
        for number, id_ in enumerate(mine):
            await connection.execute(
                update(Member)
                .where(col(Member.user_id) == me, col(Member.conversation_id) == id_)
                .values(archived=number % 7 == 0, pinned=number % 11 == 0, read_position=number)
            )
        await connection.execute(
            text("ANALYZE" if database.is_sqlite else "ANALYZE TABLE messages, members")
        )
    yield database, people
    await database.close()


async def _page(connection: AsyncConnection, me: int, **asked: Any) -> list[ListedConversation]:
    values = {"archived": False, "after": None, "limit": 50, "broadcasts_after": 0}
    values["upto"] = asked.pop("upto", None) or await head_position(connection)
    return await listing.page_conversations(connection, me, **{**values, **asked})


@pytest.mark.parametrize(
    ("archived", "limit"), [(True, 1), (False, 7), (True, 7), (False, 50), (False, 200)]
)
async def test_pages_are_what_a_model_lists(
    busy: tuple[Database, list[int]], archived: bool, limit: int
) -> None:
    database, (me, *_) = busy
    messages = await everything(database)
    last: dict[int, StoredMessage] = {}
    for message in messages:
        if me in (message.sender_id, message.receiver_id) or message.receiver_id is None:
            last[message.conversation_id] = message
    async with database.read() as connection:
        query = text(f"SELECT * FROM members WHERE user_id = {me}")
        rows = {r["conversation_id"]: r for r in (await connection.execute(query)).mappings()}
        flags = dict.fromkeys(last, (False, False)) | {
            id_: (bool(row["archived"]), bool(row["pinned"])) for id_, row in rows.items()
        }
        wanted = sorted(
            (id_ for id_ in last if flags[id_][0] == archived),
            key=lambda id_: (flags[id_][1], last[id_].id),
            reverse=True,
        )
        listed: list[ListedConversation] = []
        while True:
            after = listed[-1].place if listed else None
            page = await _page(connection, me, archived=archived, after=after, limit=limit)
            listed += page
            if len(page) < limit:
                break
        unread = await marks.count_unread(connection, me, listed, has_blocks=True)
    assert [each.id for each in listed] == wanted
    assert [each.last_position for each in listed] == [last[id_].id for id_ in wanted]
    for each in listed:
        theirs = [m for m in messages if m.conversation_id == each.id and m.sender_id != me]
        count = len([m for m in theirs if m.id > each.read_position])
        assert unread[each.id] == min(count, marks.UNREAD_COUNTED)


async def test_the_list_is_as_it_was_at_a_position(busy: tuple[Database, list[int]]) -> None:
    database, (me, *_) = busy
    messages = await everything(database)
    upto = messages[len(messages) // 2].id
    async with database.read() as connection:
        listed = await _page(connection, me, limit=200, upto=upto)
        unread = await marks.count_unread(connection, me, listed, has_blocks=False)
    assert listed
    for each in listed:
        before = [m for m in messages if m.conversation_id == each.id and m.id <= upto]
        assert each.last_position == max((m.id for m in before), default=0)
        theirs = [m for m in before if m.sender_id != me and m.id > each.read_position]
        assert unread[each.id] == min(len(theirs), marks.UNREAD_COUNTED)


async def _plan(
    connection: AsyncConnection, sent: list[tuple[str, Any]]
) -> list[list[dict[str, Any]]]:
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    plans = []
    for statement, parameters in sent:
        rows = await connection.exec_driver_sql(f"{explain} {statement}", tuple(parameters))
        plans.append([dict(row) for row in rows.mappings()])
    return plans


async def test_the_list_and_the_unread_are_ranges_of_indexes(
    busy: tuple[Database, list[int]],
) -> None:
    database, (me, *_) = busy
    async with database.read() as connection:
        head = await head_position(connection)
        with statements_sent(here=True) as sent:
            page = await _page(connection, me, upto=head)
            await marks.count_unread(connection, me, page, has_blocks=True)
        # Everybody's, the pinned, the others once or a few times more, the unread.
        assert 4 <= len(sent) <= 6
        plans = await _plan(connection, sent)
    for plan in plans:
        if database.is_sqlite:
            details = [row["detail"] for row in plan]
            assert not [d for d in details if d.startswith(("SCAN m", "SCAN c"))], details
            assert not any("TEMP B-TREE" in d for d in details), details
        else:
            tables = [row for row in plan if row["table"] in ("messages", "members", "m")]
            assert tables or plan
            assert {row["key"] for row in tables} <= {
                "ix_messages_conversation",
                "ix_members_activity",
                "PRIMARY",
            }, tables
            assert not any("filesort" in (row["Extra"] or "") for row in tables), tables


async def test_who_has_left_sees_what_came_before(database: Database) -> None:
    one, two = await add_users(database, 2)
    async with running_log(database) as log:
        ids = [(await log.append(draft(one, two))).id for _ in range(5)]
    conversation = (await everything(database))[0].conversation_id
    async with database.write() as connection:
        await connection.execute(
            update(Member)
            .where(col(Member.user_id) == two)
            .values(left_position=ids[2], sees_after=ids[0])
        )
    async with database.read() as connection:
        [listed] = await _page(connection, two)
        assert (listed.after, listed.upto, listed.last_position) == (ids[0], ids[2], ids[2])
        assert await marks.count_unread(connection, two, [listed], has_blocks=False) == {
            conversation: 2
        }
        found = await listing.find_conversations(
            connection, one, [conversation, EVERYBODY_ID, 99], broadcasts_after=0
        )
    assert found[conversation].last_position == ids[4]
    assert found[EVERYBODY_ID].last_position == 0
    assert found.keys() == {conversation, EVERYBODY_ID}
