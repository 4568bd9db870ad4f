"""Mixtures of changes in one log: what is stored is what a model of them says, in one order."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select, text
from sqlmodel import col

from db import facts
from db.engines.database import Database, DatabaseUnavailable
from db.log import log as log_module
from db.log.admission import Admission
from db.log.changes.accounts import DeleteAccount, SetAdmin, SetDisabled
from db.log.changes.blocks import ChangeBlock, TooManyBlocks, UnknownUser
from db.log.changes.broadcast import SetBroadcasters
from db.log.changes.change import AccountEnded, Refused
from db.log.changes.groups import CreateGroup
from db.log.changes.marks import MarkDelivered, MarkRead
from db.log.changes.messages import DeleteMessage, EditMessage
from db.log.changes.own_settings import SetOwnSettings
from db.log.changes.profiles import ChangeProfile
from db.log.changes.sessions import (
    EndSessions,
    NotUsable,
    OtherPassword,
    RenewSession,
    ReplacePassword,
    SessionTooOld,
)
from db.log.drafts import BroadcastRefused, SenderDisabled, UnknownReceiver
from db.log.log import MessageLog
from db.messages import head_position
from db.models import Block, MessageKind, StoredMessage
from db.people import sessions
from events.control import Control
from events.facts import (
    BlockChanged,
    Fact,
    MembersChanged,
    SessionEnded,
    SessionRenewed,
)
from resolvers.guards.blocked_pairs import BlockedPairs
from resolvers.people.accounts import follow_accounts
from tests.db.mixture_model import Model
from tests.db.rows import NOW, add_users, draft, open_database

NOBODY = 2**40
LATER = NOW + timedelta(days=9)
ANY_SESSION = sessions.NewSession(LATER, "agent", "address")


class Process:
    """A log with all that it looks at, and without a feed: it hears by its own batches alone."""

    def __init__(self, database: Database) -> None:
        self.told: list[StoredMessage | Fact] = []
        self.blocks = BlockedPairs()
        self.control = Control()
        self.admission = Admission(apart=self.blocks.apart)
        follow_accounts(self.control, self.admission)
        self.control.listen(BlockChanged, self._block)
        self.control.listen(MembersChanged, lambda fact, body: self.admission.groups.apply(body))
        self.log = MessageLog(
            database,
            max_pending=10_000,
            committed=self.told.extend,
            uncertain=lambda: None,
            admission=self.admission,
            authority=self.control,
        )
        self.log.start()

    def _block(self, fact: Fact, body: BlockChanged) -> None:
        assert fact.actor_id is not None
        self.blocks.put((fact.actor_id, body.user_id), body.blocked)

    async def attempt(self, change: Any) -> Any:
        """Return the change's fact, or the error."""
        try:
            return await self.log.append(change)
        except Exception as error:
            return error


async def _entries(database: Database) -> Sequence[StoredMessage | Fact]:
    """Return the whole log after asserting that it is dense."""
    async with database.read() as connection:
        head = await head_position(connection)
        entries = await facts.read_log(connection, 0, head, 1_000_000)
    assert [entry.id for entry in entries] == [*range(1, head + 1)]
    return entries


def _bare(entry: StoredMessage | Fact) -> StoredMessage | Fact:
    """Return a fact without the message that it is about, which may have changed since."""
    return replace(entry, record=None) if isinstance(entry, Fact) else entry


def _change(chance: random.Random, people: list[int], told: Sequence[StoredMessage | Fact]) -> Any:
    one, two = chance.sample(people, 2)
    kind = chance.random()
    if kind < 0.13:
        sent = [entry for entry in told if isinstance(entry, StoredMessage)]
        message = chance.choice(sent) if sent else None
        actor = message.sender_id if message and chance.random() < 0.9 else one
        id_ = message.id if message else 1
        if kind < 0.1:
            return EditMessage(actor, id_, 0, str(kind), MessageKind.TEXT, 0)
        return DeleteMessage(actor, id_, 0, 0)
    if kind < 0.7:
        receiver = chance.choice([two, two, two, None, NOBODY])
        return draft(one, receiver, "x", chance.choice([None, str(chance.randint(0, 300))]))
    if kind < 0.76:
        return MarkRead(one, chance.randint(1, 12), chance.randint(1, 900))
    if kind < 0.78:
        return MarkDelivered(one, chance.randint(1, 900))
    if kind < 0.8:
        return SetOwnSettings(one, chance.randint(1, 12), pinned=chance.random() < 0.5)
    if kind < 0.87:
        return ChangeBlock(one, two, chance.random() < 0.6, 3)
    if kind < 0.9:
        return SetDisabled(one, chance.random() < 0.3)
    if kind < 0.93:
        return SetAdmin(one, chance.random() < 0.5)
    if kind < 0.96:
        return SetBroadcasters(chance.choice(["everyone", "admins", "everyone", "off"]))
    if kind < 0.99:
        return EndSessions(one, older_tokens=chance.random() < 0.5)
    return DeleteAccount(people[-1]) if len(people) > 8 else ChangeBlock(one, NOBODY, True, 3)


@pytest.mark.parametrize("seed", range(3))
async def test_a_mixture_of_several_processes_is_what_a_model_says(
    database: Database, database_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    people = await add_users(database, 9)
    databases = [open_database(database_url) for _ in range(2)]
    processes = [Process(each) for each in databases]
    outcomes: list[Any] = []

    async def act(process: Process) -> None:
        for _ in range(25):
            changes = [_change(chance, people, process.told) for _ in range(chance.randint(1, 12))]
            outcomes.extend(await asyncio.gather(*map(process.attempt, changes)))

    await asyncio.gather(*map(act, processes))
    entries = await _entries(database)
    model = Model()
    for entry in entries:
        model.take(entry)
    # Each process told of its own in order, and both together of everything, each once.
    for process in processes:
        ids = [entry.id for entry in process.told]
        assert ids == sorted(ids)
    told = sorted((entry for p in processes for entry in p.told), key=lambda entry: entry.id)
    changed = model.edited | model.erased
    assert [entry.id for entry in told] == [entry.id for entry in entries]
    assert [_bare(e) for e in told if e.id not in changed] == [
        _bare(e) for e in entries if e.id not in changed
    ]
    known = {entry.id: entry for entry in entries}
    for outcome in outcomes:
        if isinstance(outcome, StoredMessage | Fact) and outcome.id not in changed:
            assert known[outcome.id] == outcome
    assert model.edited - model.erased, "the seed edits nothing"
    assert model.erased, "the seed deletes nothing"
    for message in model.messages.values():
        assert (message.edited_at is not None) is (message.id in model.edited)
        assert (message.deleted_at is not None) is (message.id in model.erased)
        assert (message.content == "") is (message.id in model.erased)
    errors = {type(outcome) for outcome in outcomes if isinstance(outcome, Exception)}
    assert UnknownReceiver in errors
    assert not {DatabaseUnavailable} & errors
    # What the tables hold is what the facts say.
    async with database.read() as connection:
        rows = await connection.execute(select(col(Block.blocker_id), col(Block.blocked_id)))
        assert {tuple(row) for row in rows} == model.blocked
        rows = await connection.execute(text("SELECT id FROM users WHERE disabled_at IS NOT NULL"))
        assert set(rows.scalars()) == model.disabled
        assert await facts.read_broadcasters(connection) == model.allowed
        marks = text(
            "SELECT conversation_id, user_id, read_position FROM members WHERE read_position > 0"
        )
        found = {(row[0], row[1]): row[2] for row in await connection.execute(marks)}
        assert found == model.read
    for each, process in zip(databases, processes, strict=True):
        await process.log.close()
        await each.close()


async def test_one_batch_holds_any_mixture_and_a_refused_change_fails_alone(
    database: Database,
) -> None:
    one, two, three = await add_users(database, 3)
    process = Process(database)
    session = await _open(database, one)
    first = await process.attempt(draft(one, two))
    assert first.id == 1
    changes = [
        draft(one, two, "a"),
        EndSessions(one, (session,)),
        draft(two, one, "b"),
        draft(two, NOBODY, "refused"),
        RenewSession(two, 99, LATER, 60),
        ChangeBlock(two, one, True, 9),
        ChangeBlock(two, NOBODY, True, 9),
        ChangeBlock(three, one, True, 0),
        draft(one, two, "too late"),
        draft(one, three, "c"),
    ]
    outcomes = await asyncio.gather(*map(process.attempt, changes))
    assert [getattr(outcome, "id", type(outcome)) for outcome in outcomes] == [
        2, 3, 4, UnknownReceiver, NotUsable, 5, UnknownUser, TooManyBlocks, UnknownReceiver, 6,
    ]  # fmt: skip
    assert await _entries(database) == process.told
    await process.log.close()


async def test_nothing_of_an_account_follows_its_end_in_the_same_batch(database: Database) -> None:
    one, two = await add_users(database, 2)
    process = Process(database)
    changes = [
        CreateGroup(one, "before", (two,), 9),
        SetDisabled(one, True),
        CreateGroup(one, "after", (two,), 9),
        ChangeBlock(one, two, True, 9),
        SetDisabled(one, False),
        ChangeProfile(one, status_text="back"),
        DeleteAccount(one),
        MarkDelivered(one, 1),
    ]
    outcomes = await asyncio.gather(*map(process.attempt, changes))
    assert [getattr(outcome, "id", type(outcome)) for outcome in outcomes] == [
        1, 2, AccountEnded, AccountEnded, 3, 4, 5, AccountEnded,
    ]  # fmt: skip
    await process.log.close()


async def test_what_is_so_already_makes_no_fact(database: Database) -> None:
    one, two = await add_users(database, 2)
    process = Process(database)
    block = ChangeBlock(one, two, True, 9)
    outcomes = await asyncio.gather(*(process.attempt(block) for _ in range(4)))
    assert [outcome and outcome.id for outcome in outcomes] == [1, None, None, None]
    assert await process.attempt(ChangeBlock(two, one, False)) is None
    assert await process.attempt(EndSessions(one, (7,))) is None
    assert await process.attempt(SetBroadcasters("everyone")) is None
    # One after the other in one batch, as if each came alone.
    turns = [ChangeBlock(one, two, there, 9) for there in (False, True, False, False, True)]
    outcomes = await asyncio.gather(*map(process.attempt, turns))
    assert [outcome and outcome.id for outcome in outcomes] == [2, 3, 4, None, 5]
    assert process.blocks.are_apart(one, two)
    await process.log.close()


async def _open(database: Database, user_id: int) -> int:
    async with database.write() as connection:
        return (await sessions.insert_sessions(connection, {user_id: ANY_SESSION}, NOW))[user_id]


async def _sessions(database: Database, user_id: int) -> list[int]:
    async with database.read() as connection:
        return [*(await sessions.find_openings(connection, [user_id])).get(user_id, {})]


async def test_sessions_end_are_renewed_and_replaced(database: Database) -> None:
    [one] = await add_users(database, 1)
    process = Process(database)
    first, second, third = [await _open(database, one) for _ in range(3)]
    renewed = await process.attempt(RenewSession(one, first, LATER, 10**9))
    assert renewed.body == SessionRenewed(first, LATER)
    assert isinstance(await process.attempt(RenewSession(one, first, LATER, 0)), SessionTooOld)
    ended = await process.attempt(EndSessions(one, (first,)))
    assert (ended.actor_id, ended.body) == (one, SessionEnded((first,)))

    def replace(session: int | None, old: str = "x", issued: float | None = None) -> Any:
        return ReplacePassword(one, ANY_SESSION, session, issued, old, "y")

    assert isinstance(await process.attempt(replace(second, "other")), OtherPassword)
    assert isinstance(await process.attempt(replace(first)), NotUsable)
    opened = await process.attempt(replace(second))
    done = process.told[-1]
    assert isinstance(done, Fact)
    assert done.body == SessionEnded((third, second), older_tokens=True)
    assert await _sessions(database, one) == [opened]
    # An older token of before then is good no more, one of after it is.
    before, after = NOW.timestamp(), datetime.now(UTC).timestamp() + 60
    assert isinstance(await process.attempt(replace(None, "y", before)), NotUsable)
    assert await process.attempt(replace(None, "y", after)) > opened
    await process.attempt(SetDisabled(one, True))
    assert isinstance(await process.attempt(replace(None, "y", after)), NotUsable)
    await process.log.close()


async def test_the_head_says_where_the_last_control_fact_is(database: Database) -> None:
    one, two = await add_users(database, 2)
    process = Process(database)

    async def control_position() -> int:
        async with database.read() as connection:
            rows = await connection.execute(text("SELECT control_position FROM log_head"))
            return int(rows.scalar_one())

    await process.attempt(draft(one, two))
    await process.attempt(EndSessions(one, older_tokens=True))
    assert await control_position() == 0
    await process.attempt(ChangeBlock(one, two, True, 9))
    await process.attempt(EndSessions(one, older_tokens=True))
    await process.attempt(draft(one))
    assert await control_position() == 3
    assert [entry.id for entry in process.told] == [1, 2, 3, 4, 5]
    await process.log.close()


@pytest.mark.parametrize("error", [BroadcastRefused, SenderDisabled])
async def test_a_plain_batch_that_was_overtaken_is_judged_anew(
    database: Database, database_url: str, error: type[Exception]
) -> None:
    one, two = await add_users(database, 2)
    other_database = open_database(database_url)
    here, there = Process(database), Process(other_database)
    await here.attempt(draft(one))
    await here.attempt(draft(one, two))
    change = SetBroadcasters("off") if error is BroadcastRefused else SetDisabled(one, True)
    await there.attempt(change)
    batch = [draft(one), draft(two, one), draft(one), draft(two, two)]
    outcomes = await asyncio.gather(*map(here.attempt, batch))
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [error, StoredMessage, error, StoredMessage]
    await _entries(database)
    for process in (here, there):
        await process.log.close()
    await other_database.close()


async def test_no_message_follows_a_decision_in_its_batch(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await add_users(database, 2)
    process = Process(database)
    await process.attempt(draft(one, two))
    sizes: list[int] = []
    take = MessageLog._next_batch

    def see(log: MessageLog) -> Any:
        batch = take(log)
        sizes.append(len(batch))
        return batch

    monkeypatch.setattr(log_module.MessageLog, "_next_batch", see)
    changes = [draft(one, two), ChangeBlock(one, two, True, 9), ChangeBlock(two, one, True, 9)]
    await asyncio.gather(*map(process.attempt, [*changes, draft(one, two), draft(one)]))
    assert sizes == [3, 2]
    assert not any(issubclass(type(each), Refused) for each in process.told)
    await process.log.close()
