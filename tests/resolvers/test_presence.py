"""Many who leave at once: recorded in few statements, beside the senders; watchers keep up."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text
from sqlmodel import col

from db.models import User
from events import presence as presence_module
from events.facts import PresenceChanged
from resolvers import messages
from resolvers.context import Context
from resolvers.people.presence import watch_presence
from tests.faults.waits import until
from tests.resolvers.conftest import join, running_context
from tests.support.presence import connected
from tests.support.sqlite import outsider as opened_by_outsider

CROWD = 3000
# Alone a send takes some milliseconds; this machine may do other things, too.
SEND_SECONDS = 2
SECONDS = 20


@asynccontextmanager
async def _running(directory: Path) -> AsyncIterator[tuple[Context, range, list[str]]]:
    """A server on SQLite, the ids of a crowd, and every change of a user that is written."""
    async with running_context(directory, presence_grace_seconds=0.05) as ctx:
        viewer = await join(ctx)
        ids = range(viewer.user.id + 1, viewer.user.id + 1 + CROWD)
        rows = [
            {
                "id": id_,
                "email": f"{id_}@example.com",
                "display_name": f"{id_}",
                "search_name": f"{id_}",
                "password_hash": "",
                "created_at": datetime.now(UTC),
            }
            for id_ in ids
        ]
        async with ctx.db.write() as connection:
            await connection.execute(insert(User), rows)
        written: list[str] = []

        @event.listens_for(ctx.db._writes.sync_engine, "before_cursor_execute")
        def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if statement.startswith("UPDATE users"):
                written.append(statement)

        yield viewer, ids, written


async def _unrecorded(ctx: Context, ids: range) -> int:
    async with ctx.read() as connection:
        rows = await connection.execute(select(col(User.id), col(User.last_seen_at)))
        return sum(seen_at is None for id_, seen_at in rows if id_ in ids)


async def _longest_send(ctx: Context, over: asyncio.Event) -> float:
    clock = asyncio.get_running_loop().time
    longest = 0.0
    while not over.is_set():
        began = clock()
        await messages.send_message(ctx, receiver_id=None, content="x")
        longest = max(longest, clock() - began)
    return longest


async def test_a_burst_of_departures_is_recorded_in_few_statements_beside_the_senders(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with _running(tmp_path) as (ctx, ids, written):
        over = asyncio.Event()
        with ExitStack() as crowd:
            for id_ in ids:
                crowd.enter_context(connected(ctx.presence, id_))
            sending = asyncio.create_task(_longest_send(ctx, over))
        await until(lambda: not ctx.presence.online_ids, SECONDS)
        over.set()
        assert await sending < SEND_SECONDS
        assert await _unrecorded(ctx, ids) == 0
        assert len(written) <= 2 * CROWD / presence_module.MOST_AT_ONCE
    assert "Could not record" not in caplog.text


async def test_a_stop_records_everyone_left(tmp_path: Path) -> None:
    async with _running(tmp_path) as (ctx, ids, written):
        with ExitStack() as crowd:
            for id_ in ids:
                crowd.enter_context(connected(ctx.presence, id_))
            await ctx.presence.close()
        assert await _unrecorded(ctx, ids) == 0
        assert len(written) == CROWD / presence_module.MOST_AT_ONCE


async def test_a_locked_database_keeps_nobody_online_and_is_said_in_few_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(presence_module, "RECORD_SECONDS", 0.3)
    async with _running(tmp_path) as (ctx, ids, _):
        with opened_by_outsider(str(ctx.db.url.database), isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            with ExitStack() as crowd:
                for id_ in ids:
                    crowd.enter_context(connected(ctx.presence, id_))
            await until(lambda: not ctx.presence.online_ids, 5)
            other.execute("ROLLBACK")
        other.close()
    lines = [record for record in caplog.records if "Could not record" in record.message]
    assert 1 <= len(lines) <= 2 * CROWD / presence_module.MOST_AT_ONCE
    assert not any(record.exc_info for record in lines)


async def test_a_refusing_database_is_said_in_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with _running(tmp_path) as (ctx, ids, _):
        async with ctx.db.write() as connection:
            await connection.execute(text("ALTER TABLE users RENAME TO away"))
        with connected(ctx.presence, ids[0]):
            pass
        await until(lambda: not ctx.presence.online_ids, 5)
    [line] = [record for record in caplog.records if "Could not record" in record.message]
    assert "no such table" in line.message
    assert line.exc_info is None


Watch = AsyncGenerator[Sequence[PresenceChanged], None]


async def _hear(watch: Watch, online: set[int]) -> int:
    async with asyncio.timeout(SECONDS):
        changes = await anext(watch)
    for change in changes:
        assert (change.last_seen_at is None) is change.online
        (online.add if change.online else online.discard)(change.user_id)
    return len(changes)


async def test_a_slow_watcher_of_a_burst_is_not_cut_off_and_ends_up_right(tmp_path: Path) -> None:
    async with _running(tmp_path) as (ctx, ids, _), aclosing(watch_presence(ctx)) as watch:
        with ExitStack() as crowd, ExitStack() as stay:
            for id_ in ids:
                crowd.enter_context(connected(ctx.presence, id_))
            online: set[int] = set()
            assert await _hear(watch, online) == CROWD
            for _ in range(2):
                crowd.close()
                await until(lambda: not ctx.presence.online_ids, SECONDS)
                for id_ in ids:
                    crowd.enter_context(connected(ctx.presence, id_))
            stay.enter_context(connected(ctx.presence, ids[7]))
            crowd.close()
            await until(lambda: len(ctx.presence.online_ids) == 1, SECONDS)
            [place] = ctx.presence._watches
            changes = ctx.presence._changes
            assert len(changes) == CROWD
            reads = [await _hear(watch, online)]
            while place.position < changes.position:
                reads += [await _hear(watch, online)]
            assert sum(reads) == CROWD
            assert len(reads) <= 10
            assert online == {*ctx.presence.online_ids} == {ids[7]}
    assert ctx.presence._watches == set()
