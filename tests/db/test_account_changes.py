"""Changes of accounts and sessions: written together, each as if it came alone."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from db.engines.database import Database
from db.log.changes.accounts import DeleteAccount, SetDisabled
from db.log.changes.blocks import UnknownUser
from db.log.changes.sessions import (
    EndSessions,
    GainSession,
    LogIn,
    NotUsable,
    OtherPassword,
    RenewSession,
    ReplacePassword,
)
from db.people import sessions
from db.people.accounts import find_account
from db.people.sessions import NewSession
from events.facts import Fact, SessionEnded
from tests.db.rows import NOW, add_users
from tests.db.test_mixtures import LATER, Process

SESSION = NewSession(LATER, "agent", "192.0.2.1")


def log_in(user_id: int, *, most: int = 9, password: str = "x", renewed: str | None = None) -> Any:
    return LogIn(user_id, SESSION, password, most, renewed)


async def opened_by(database: Database, user_id: int) -> list[int]:
    """The user's sessions, the latest first."""
    async with database.read() as connection:
        return [*(await sessions.find_openings(connection, [user_id])).get(user_id, {})]


async def told_of(process: Process, changes: Sequence[Any]) -> list[Any]:
    """What came of changes that go in one batch."""
    return await asyncio.gather(*map(process.attempt, changes))


@contextmanager
def transactions_begun() -> Iterator[list[str]]:
    """What happened to transactions that wrote, in order."""
    seen: list[str] = []

    def commit(connection: Any) -> None:
        seen.append("commit")

    def write(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith(("INSERT INTO sessions", "DELETE FROM sessions")):
            seen.append(statement.partition(" ")[0])

    event.listen(Engine, "commit", commit)
    event.listen(Engine, "before_cursor_execute", write)
    try:
        yield seen
    finally:
        event.remove(Engine, "commit", commit)
        event.remove(Engine, "before_cursor_execute", write)


async def test_a_login_ends_the_oldest_session_in_its_own_transaction(database: Database) -> None:
    [one] = await add_users(database, 1)
    process = Process(database)
    first, second = [await process.attempt(log_in(one, most=2)) for _ in range(2)]
    assert process.told == []  # to open a session is no fact
    with transactions_begun() as seen:
        third = await process.attempt(log_in(one, most=2))
    assert sorted(seen[: seen.index("commit")]) == ["DELETE", "INSERT"]
    assert "INSERT" not in seen[seen.index("commit") :]
    assert "DELETE" not in seen[seen.index("commit") :]
    assert await opened_by(database, one) == [third, second]
    [ended] = process.told
    assert isinstance(ended, Fact)
    assert (ended.id, ended.actor_id, ended.body) == (1, one, SessionEnded((first,)))
    # A limit that was lowered takes effect by the next login, however it is made.
    fourth = await process.attempt(GainSession(one, SESSION, None, 1))
    assert await opened_by(database, one) == [fourth]
    await process.log.close()


async def test_logins_of_one_batch_are_bounded_as_if_each_came_alone(database: Database) -> None:
    one, two = await add_users(database, 2)
    process = Process(database)
    changes = [log_in(one, most=2), log_in(two), *[log_in(one, most=2)] * 3]
    ids = await told_of(process, changes)
    assert await opened_by(database, one) == [ids[4], ids[3]]
    assert await opened_by(database, two) == [ids[1]]
    ended = [entry.body for entry in process.told if isinstance(entry, Fact)]
    assert ended == [SessionEnded((ids[0],)), SessionEnded((ids[2],))]
    await process.log.close()


async def test_a_login_goes_by_what_the_account_is_now(database: Database) -> None:
    one, two, three = await add_users(database, 3)
    process = Process(database)
    outcomes = await told_of(
        process,
        [
            log_in(one, password="other"),
            log_in(one, renewed="y"),
            log_in(one),
            log_in(one, password="y"),
            SetDisabled(two, True),
            log_in(two),
            GainSession(two, SESSION, None, 9),
            DeleteAccount(three),
            log_in(three),
            SetDisabled(three, False),
            log_in(2**40),
        ],
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [
        OtherPassword, int, OtherPassword, int, Fact, NotUsable, NotUsable, Fact, OtherPassword,
        UnknownUser, OtherPassword,
    ]  # fmt: skip
    async with database.read() as connection:
        noted = await connection.execute(text("SELECT user_id, address FROM familiar_addresses"))
        assert [tuple(row) for row in noted] == [(one, SESSION.address)]
    await process.log.close()


async def test_many_changes_take_as_many_statements_as_one(database: Database) -> None:
    users = await add_users(database, 12)
    process = Process(database)
    await told_of(process, [log_in(user) for user in users])
    statements: list[str] = []

    def see(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement.partition(" ")[0])

    sizes = []
    engine = database._writes.sync_engine
    for some in (users[:1], users[1:]):
        event.listen(engine, "before_cursor_execute", see)
        ids = await told_of(process, [log_in(user, most=1) for user in some])
        event.remove(engine, "before_cursor_execute", see)
        sizes.append(len(statements))
        statements.clear()
        assert [await opened_by(database, user) for user in some] == [[id_] for id_ in ids]
    assert sizes[0] == sizes[1]
    await process.log.close()


async def test_each_change_of_an_account_sees_what_the_one_before_has_done(
    database: Database,
) -> None:
    one, two = await add_users(database, 2)
    process = Process(database)
    first, other = await told_of(process, [log_in(one), log_in(two)])
    outcomes = await told_of(
        process,
        [
            EndSessions(one, (first, other, 99)),
            RenewSession(one, first, LATER, 10**9),
            RenewSession(two, other, LATER, 10**9),
            EndSessions(one, (first,)),
            ReplacePassword(two, SESSION, other, None, "x", "y"),
            ReplacePassword(two, SESSION, other, None, "x", "z"),
        ],
    )
    assert outcomes[0].body == SessionEnded((first,))  # nobody else's, and none that was not
    assert [type(outcome) for outcome in outcomes[1:]] == [
        NotUsable, Fact, type(None), int, OtherPassword,
    ]  # fmt: skip
    assert await opened_by(database, two) == [outcomes[4]]
    async with database.read() as connection:
        emails = await connection.execute(text(f"SELECT email FROM users WHERE id = {two:d}"))
        account = await find_account(connection, emails.scalar_one())
    assert account is not None
    assert account.password_hash == "y"
    assert account.tokens_from is not None
    assert account.tokens_from > NOW
    await process.log.close()
