"""History: the right rows, by one index range, however long the table is."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import messages, migrate
from db.engines.database import Database
from db.models import StoredMessage
from tests.conftest import fresh_database_url
from tests.db.rows import add_messages, add_users, draft, open_database, running_log
from tests.support.statements import statements_sent

ROWS = 20_000
PAGE = 50

# Every direction, from every place: the newest, the oldest, and the middle both ways.
RANGES: list[dict[str, Any]] = [
    {"newest": newest, **bounds}
    for newest in (True, False)
    for bounds in (
        dict[str, int](),
        {"before": ROWS // 2},
        {"after": ROWS // 2},
        {"after": 5, "before": ROWS},
    )
]


@pytest.fixture(scope="module")
async def long_history(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Database, list[int]]]:
    """20,000 messages among ten people, and some to everybody; each pair's lie far apart."""
    database = open_database(fresh_database_url(engine, request, tmp_path_factory.mktemp("long")))
    await migrate.upgrade(database)
    people = await add_users(database, 10)
    pairs = [(one, two) for one in people for two in [*people, None]]
    await add_messages(database, [pairs[number % len(pairs)] for number in range(ROWS)])
    async with database.write() as connection:
        # What both engines do by themselves, later.
        each = "ANALYZE" if database.is_sqlite else "ANALYZE TABLE messages"
        await connection.execute(text(each))
    yield database, people
    await database.close()


async def _explain(connection: AsyncConnection, call: Callable[[], Any]) -> list[dict[str, Any]]:
    """Run the call and return the plan of its one statement."""
    with statements_sent(here=True) as sent:
        await call()
    [(statement, parameters)] = sent
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = await connection.exec_driver_sql(f"{explain} {statement}", tuple(parameters))
    return [dict(row) for row in rows.mappings()]


async def _rows_read(connection: AsyncConnection) -> int:
    """Return how many rows this connection has read by an index; of temporary tables, none."""
    rows = await connection.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'"))
    return sum(int(row[1]) for row in rows if "_rnd" not in row[0])


@pytest.mark.parametrize("range_", RANGES, ids=str)
async def test_a_conversation_is_one_range_of_its_index(
    long_history: tuple[Database, list[int]], range_: Any
) -> None:
    database, people = long_history

    async with database.read() as connection:

        async def read() -> Sequence[StoredMessage]:
            return await messages.page_messages(
                connection, people[3], peer_id=people[7], limit=PAGE, **range_
            )

        plan = await _explain(connection, read)
        if database.is_sqlite:
            assert "USING INDEX ix_messages_conversation (conversation_id=?" in plan[0]["detail"]
            looked_up = [row["detail"] for row in plan[1:]]
            assert [text for text in looked_up if "(lower_user_id=? AND higher" in text], plan
            return
        assert [row["key"] for row in plan] == [
            "ix_messages_conversation",
            "uq_conversations_pair",
        ], plan
        assert "filesort" not in plan[0]["Extra"], plan
        before = await _rows_read(connection)
        assert len(await read()) == PAGE
        assert await _rows_read(connection) - before <= PAGE + 10


@pytest.mark.parametrize("joined", [0, ROWS // 4], ids=["", "joined"])
@pytest.mark.parametrize("has_blocks", [False, True], ids=["", "blocks"])
@pytest.mark.parametrize("range_", RANGES, ids=str)
async def test_all_that_one_may_see_is_three_ranges_cut_at_a_page(
    long_history: tuple[Database, list[int]], range_: Any, has_blocks: bool, joined: int
) -> None:
    database, people = long_history
    async with database.read() as connection:

        async def read() -> Sequence[StoredMessage]:
            return await messages.page_messages(
                connection,
                people[3],
                limit=PAGE,
                has_blocks=has_blocks,
                broadcasts_after=joined,
                **range_,
            )

        plan = await _explain(connection, read)
        if database.is_sqlite:
            details = [row["detail"] for row in plan]
            assert not [detail for detail in details if detail.startswith("SCAN messages")], plan
            for index in ("ix_messages_sender (sender_id=?", "ix_messages_receiver (receiver_id=?"):
                assert [detail for detail in details if index in detail], plan
            return
        before = await _rows_read(connection)
        assert len(await read()) == PAGE
        # Three pages of ids, and the page's own rows; with blocks, two look-ups a broadcast.
        most = 4 * PAGE + (2 * PAGE if has_blocks else 0) + 10
        assert await _rows_read(connection) - before <= most


async def test_a_tail_of_the_log_is_a_range_of_its_key(
    long_history: tuple[Database, list[int]],
) -> None:
    database, _ = long_history
    async with database.read() as connection:

        async def read() -> Sequence[StoredMessage]:
            return await messages.read_entries(connection, ROWS - 100, ROWS, PAGE)

        plan = await _explain(connection, read)
        if database.is_sqlite:
            assert "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plan[0]["detail"]
        else:
            assert (plan[0]["type"], plan[0]["key"]) == ("range", "PRIMARY")
        assert [entry.id for entry in await read()] == [*range(ROWS - 99, ROWS - 49)]


@pytest.fixture(scope="module")
async def four_people(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Database, list[int]]]:
    """A database of four users, whose messages each example replaces."""
    database = open_database(fresh_database_url(engine, request, tmp_path_factory.mktemp("four")))
    await migrate.upgrade(database)
    yield database, await add_users(database, 4)
    await database.close()


people_ = st.integers(0, 3)
bounds_ = st.one_of(st.none(), st.integers(0, 45))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    sent=st.lists(st.tuples(people_, st.one_of(st.none(), people_)), max_size=40),
    questions=st.lists(
        st.tuples(
            people_,
            st.one_of(st.none(), people_),
            bounds_,
            bounds_,
            st.booleans(),
            st.integers(0, 45),
            st.integers(0, 45),
        ),
        min_size=20,
        max_size=20,
    ),
)
async def test_pages_are_what_a_plain_reading_gives(
    four_people: tuple[Database, list[int]],
    sent: list[tuple[int, int | None]],
    questions: list[tuple[int, int | None, int | None, int | None, bool, int, int]],
) -> None:
    database, people = four_people
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM messages"))
    log = [(people[one], None if two is None else people[two]) for one, two in sent]
    await add_messages(database, log)
    async with database.read() as connection:
        for viewer, peer, after, before, newest, limit, joined in questions:
            me, them = people[viewer], None if peer is None else people[peer]
            wanted = [
                id_
                for id_, (sender, receiver) in enumerate(log, 1)
                if (after is None or id_ > after) and (before is None or id_ < before)
                if (
                    {sender, receiver} == {me, them}
                    if them is not None
                    else me in (sender, receiver) or (receiver is None and id_ > joined)
                )
            ]
            wanted = wanted[max(0, len(wanted) - limit) :] if newest else wanted[:limit]
            page = await messages.page_messages(
                connection,
                me,
                peer_id=them,
                after=after,
                before=before,
                newest=newest,
                limit=limit,
                broadcasts_after=joined,
            )
            assert [message.id for message in page] == wanted


async def test_a_message_is_found_by_its_two_people_or_when_it_is_everybodys(
    database: Database,
) -> None:
    one, two, stranger = await add_users(database, 3)
    async with running_log(database) as log:
        direct = await log.append(draft(one, two))
        broadcast = await log.append(draft(one))
        own = await log.append(draft(one, one))
    async with database.read() as connection:
        for viewer, message, visible in (
            (one, direct, True),
            (two, direct, True),
            (stranger, direct, False),
            (stranger, broadcast, True),
            (one, own, True),
            (two, own, False),
        ):
            found = await messages.find_visible(connection, viewer, message.id)
            assert found == (message if visible else None)
            # Where they have joined since, what everybody got is not for them.
            found = await messages.find_visible(
                connection, viewer, message.id, broadcasts_after=own.id
            )
            theirs = visible and viewer in (message.sender_id, message.receiver_id)
            assert found == (message if theirs else None)
        assert await messages.find_visible(connection, one, 99) is None
