"""Which facts a user is shown: rows read as many as are shown, however long the log is."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import facts
from db.engines.database import Database
from db.models import EVERYBODY_ID, LogHead
from db.shown_facts import Stay, shown_positions
from events.facts import Audience, Fact, MarksMoved, Members, People, Processes, SessionEnded
from tests.db.rows import NOW
from tests.support.statements import statements_sent

FACTS = 20_000
USERS = range(1, 201)
GROUPS = range(10, 60)


@pytest.fixture
async def long_log(database: Database) -> dict[int, Audience]:
    """The audience of each position of a log of facts of all kinds of audiences."""
    chance = random.Random(1)
    audiences: dict[int, Audience] = {}
    rows: list[Fact] = []
    for position in range(1, FACTS + 1):
        audience: Audience = People(tuple(chance.sample(USERS, 2)))
        what = chance.random()
        if what < 0.3:
            audience = Members(chance.choice(GROUPS))
        elif what < 0.31:
            audience = Members(EVERYBODY_ID)
        elif what < 0.5:
            audience = Processes()
        body: Any = SessionEnded((1,)) if what < 0.5 and what >= 0.31 else MarksMoved(1)
        audiences[position] = audience
        rows.append(Fact(position, NOW, 1, audience, body))
    async with database.write() as connection:
        for start in range(0, FACTS, 2000):
            await facts.insert_facts(connection, rows[start : start + 2000])
        await connection.execute(LogHead.__table__.update().values(position=FACTS))  # type: ignore[attr-defined]  # SQLModel hides it
        if not database.is_sqlite:
            await connection.execute(text("ANALYZE TABLE log, log_people"))
    return audiences


STAYS = [Stay(10, 0, None), Stay(11, 5000, None), Stay(12, 0, 15_000), Stay(13, 18_000, 19_000)]


def _shown(audiences: dict[int, Audience], user_id: int, after: int) -> list[int]:
    found = []
    for position, audience in audiences.items():
        if isinstance(audience, People):
            shown = user_id in audience.ids
        elif isinstance(audience, Members):
            shown = audience.conversation_id == EVERYBODY_ID or any(
                stay.conversation_id == audience.conversation_id
                and stay.after < position <= (stay.upto or FACTS)
                for stay in STAYS
            )
        else:
            shown = False
        if shown and position > after:
            found.append(position)
    return found


@pytest.mark.parametrize("limit", [7, 500, 100_000])
async def test_pages_of_positions_are_all_that_the_user_is_shown(
    database: Database, long_log: dict[int, Audience], limit: int
) -> None:
    for after in (0, 12_345, 18_500):
        found: list[int] = []
        upto = after
        async with database.read() as connection:
            while upto < FACTS and len(found) < 100:
                page, upto = await shown_positions(connection, 7, STAYS, upto, FACTS, limit)
                found += page
        assert found == _shown(long_log, 7, after)[: len(found)]
        assert found


async def _rows_read(connection: AsyncConnection) -> int:
    """Return how many rows this connection has read by an index; of temporary tables, none."""
    rows = await connection.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'"))
    return sum(int(row[1]) for row in rows if "_rnd" not in row[0])


async def test_each_audience_is_a_range_of_an_index(
    database: Database, long_log: dict[int, Audience]
) -> None:
    async with database.read() as connection:
        with statements_sent(here=True) as sent:
            await shown_positions(connection, 7, STAYS, 14_000, FACTS, 50)
        assert len(sent) == 4  # the user's, everybody's, two kinds of stays
        for statement, parameters in [*sent]:
            await _expect_a_range(connection, statement, parameters)
        if database.is_sqlite:
            return
        before = await _rows_read(connection)
        shown, _ = await shown_positions(connection, 7, STAYS, 18_000, FACTS, 50)
        read = await _rows_read(connection) - before
        assert len(shown) >= 20
        assert read < 300


async def _expect_a_range(
    connection: AsyncConnection, statement: str, parameters: Sequence[Any]
) -> None:
    sqlite = connection.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
    rows = await connection.exec_driver_sql(f"{explain} {statement}", tuple(parameters))
    for row in rows.mappings():
        if sqlite:
            assert row["detail"].startswith(("SEARCH", "USE TEMP B-TREE", "MULTI", "INDEX")), row
        else:
            assert row["type"] in {"range", "ref"}, dict(row)
            assert row["key"] in {"ix_log_conversation", "PRIMARY"}, dict(row)
