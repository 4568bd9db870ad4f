"""What tokens are worth: each gets its own answer, however many are asked about together."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.database import Database, DatabaseUnavailable
from db.people import accounts, sessions
from db.people.sessions import MAX_TOKEN_STATES, TokenState, find_token_states
from resolvers.context import Context
from resolvers.errors import Unavailable
from resolvers.guards import token_states
from resolvers.guards.token_states import Key, TokenStates
from tests.db.rows import NOW, add_users

ENDS = NOW + timedelta(days=1)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were asked about, for each time that the database was."""
    sizes: list[int] = []

    async def counted(connection: AsyncConnection, asked: Sequence[Key]) -> list[TokenState | None]:
        sizes.append(len(asked))
        return await find_token_states(connection, asked)

    monkeypatch.setattr(token_states, "find_token_states", counted)
    return sizes


async def add_session(database: Database, user_id: int) -> int:
    async with database.write() as connection:
        new = {user_id: sessions.NewSession(ENDS, "", "")}
        return (await sessions.insert_sessions(connection, new, NOW))[user_id]


async def test_each_is_told_of_their_own(ctx: Context) -> None:
    older, disabled, gone, *others = await add_users(ctx.db, 3 + MAX_TOKEN_STATES)
    async with ctx.db.write() as connection:
        columns = {
            older: {"tokens_from": NOW},
            disabled: {"disabled_at": NOW},
            gone: accounts.erased(gone, NOW),
        }
        await accounts.update_accounts(connection, columns)
    theirs = await add_session(ctx.db, older)
    ended = await add_session(ctx.db, disabled)
    expected: dict[tuple[int, int | None], TokenState | None] = {
        (older, None): TokenState(NOW),
        (older, theirs): TokenState(NOW, ENDS),
        (older, 2**62): TokenState(NOW),
        (others[0], theirs): TokenState(None),  # somebody else's
        (disabled, ended): None,
        (gone, None): None,
        (2**62, None): None,
        **{(other, None): TokenState(None) for other in others},
    }
    for user_id, session_id in list(expected)[:8]:  # alone
        found = await ctx.token_states.find(user_id, session_id)
        assert found == expected[user_id, session_id]
    for asked in (list(expected), [*reversed(expected)], list(expected)[:3]):
        together = await asyncio.gather(*(ctx.token_states.find(*key) for key in asked))
        assert together == [expected[key] for key in asked]


async def test_many_at_once_are_few_questions(ctx: Context, batches: list[int]) -> None:
    users = await add_users(ctx.db, 200)
    found = await asyncio.gather(*(ctx.token_states.find(user, None) for user in users))
    assert found == [TokenState(None)] * 200
    assert batches == [64, 64, 64, 8]


async def test_who_goes_away_takes_no_answer_along(ctx: Context) -> None:
    [user] = await add_users(ctx.db, 1)
    for turns in range(6):  # before the question is asked, and while it is being answered
        gone = asyncio.create_task(ctx.token_states.find(user, None))
        stays = asyncio.create_task(ctx.token_states.find(user, None))
        for _ in range(turns):
            await asyncio.sleep(0)
        gone.cancel()
        assert await stays == TokenState(None)
        with pytest.raises(asyncio.CancelledError):
            await gone


async def test_a_database_that_is_away_is_told_to_all_and_asked_again(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    [user] = await add_users(ctx.db, 1)
    states = TokenStates(ctx.db)
    with monkeypatch.context() as away:

        def refuse(**options: float) -> object:
            raise DatabaseUnavailable("away")

        away.setattr(ctx.db, "read", refuse)
        outcomes = await asyncio.gather(
            *(states.find(user, None) for _ in range(3)), return_exceptions=True
        )
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    assert await states.find(user, None) == TokenState(None)
