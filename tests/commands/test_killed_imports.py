"""An import that is killed, at any point and again and again, ends as one that was not."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engines.database import Database
from settings import Settings
from tests.commands.conftest import Import
from tests.commands.older import Older, chat, person
from tests.commands.test_importing import rows_of
from tests.support.mariadb import MariaDB
from tests.support.sqlite import outsider
from tests.support.tools import AS_INSTALLED

ROOT = Path(__file__).parent.parent.parent
COMPARED = (
    "SELECT id, email, password_hash, created_at, delivered_position FROM users ORDER BY id",
    "SELECT m.id, sender_id, receiver_id, content, m.created_at, m.kind, lower_user_id,"
    " higher_user_id FROM messages m JOIN conversations c ON c.id = conversation_id ORDER BY m.id",
    "SELECT lower_user_id, higher_user_id, user_id, activity, read_position, created_at"
    " FROM members k JOIN conversations c ON c.id = conversation_id"
    " ORDER BY lower_user_id, higher_user_id, user_id",
    "SELECT position, control_position FROM log_head",
)


class Killed(BaseException):
    """The process is gone."""


async def everything(settings: Settings) -> list[Any]:
    """Return all that an import writes, without the ids of conversations."""
    return [await rows_of(settings, statement) for statement in COMPARED]


async def expected(rows: int) -> list[tuple[Any, ...]]:
    """Return the messages that are moved."""
    return [row[:4] for row in chat(5, rows)]


async def test_it_goes_on_after_every_transaction(
    older: Older, moved: Import, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    older.make()
    older.insert("users", *map(person, range(1, 6)), person(7, hashed="none"))
    older.insert("messages", *chat(5, 40), (41, 99, 1, "nobody's", "2020-01-01 00:00:00"))
    write, left, target = Database.write, 0, make_url(settings.database)

    @asynccontextmanager
    async def mortal(
        self: Database, *, seconds: float | None = 30
    ) -> AsyncIterator[AsyncConnection]:
        nonlocal left
        async with write(self, seconds=seconds) as connection:
            yield connection
        if self.url == target:  # servers of other tests run in this process
            left -= 1
            if left == 0:
                raise Killed

    monkeypatch.setattr(Database, "write", mortal)
    deaths = 0
    while True:
        left = deaths + 1
        try:
            printed = await moved("--rows", "4")
            break
        except Killed:
            deaths += 1
    assert deaths > 6
    lines = printed.splitlines()
    assert "6 accounts and 40 messages moved." in lines
    assert "  1 account: no bcrypt hash: cannot log in (ids 7)" in lines
    assert "  1 message: its sender is no account (ids 41)" in lines
    _, messages, members, head = await everything(settings)
    assert [row[:4] for row in messages] == await expected(40)
    assert head == [(40, 0)]
    assert all(row[4] == 40 for row in members)


async def test_it_goes_on_after_kills(
    older: Older,
    settings: Settings,
    request: pytest.FixtureRequest,
) -> None:
    older.make()
    older.insert("users", *map(person, range(1, 6)))
    older.insert("messages", *chat(5, 4_000))
    dice = random.Random(14)
    goals = sorted(dice.randrange(0, 4_000) for _ in range(3))
    for goal in goals:
        await killed_at(older, settings, goal, request)
    last = await asyncio.to_thread(start(older, settings).communicate)
    assert b"5 accounts and 4,000 messages moved." in last[0], last[1].decode()
    users, messages, members, head = await everything(settings)
    assert [row[:4] for row in messages] == await expected(4_000)
    assert (len(users), head) == (5, [(4_000, 0)])
    lasts: dict[Any, int] = {}
    for row in messages:
        lasts[row[6:8]] = row[0]
    told = {(row[0], row[1]): row[3] for row in members if row[0] is not None}
    assert told == {pair: last for pair, last in lasts.items() if pair[0] is not None}


async def test_ctrl_c_says_that_it_can_go_on(
    older: Older, settings: Settings, request: pytest.FixtureRequest
) -> None:
    older.make()
    older.insert("users", *map(person, range(1, 6)))
    older.insert("messages", *chat(5, 4_000))
    process = start(older, settings)
    while await asyncio.to_thread(moved_so_far, settings, request) < 100:
        assert process.poll() is None, process.communicate()
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.to_thread(process.communicate)
    assert process.returncode == 130
    assert b"Stopped; the same command goes on from here." in err
    assert b"Traceback" not in err
    last = await asyncio.to_thread(start(older, settings).communicate)
    assert b"5 accounts and 4,000 messages moved." in last[0], last[1].decode()


def start(older: Older, settings: Settings) -> "subprocess.Popen[bytes]":
    """Start the command in a process of its own."""
    ours = {name.upper() for name in Settings.model_fields}
    clean = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    clean |= AS_INSTALLED
    url = settings.database_url
    assert url is not None
    words = ["import", "--from", older.url, "--rows", "20"]

    def heeds_interrupts() -> None:
        # A shell starts what runs in the background with SIGINT ignored.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-W", "ignore:'crypt'", str(ROOT / "main.py"), *words],
        env={**clean, "DATABASE_URL": url.get_secret_value(), "DATA_DIR": str(settings.data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heeds_interrupts,
    )


async def killed_at(
    older: Older, settings: Settings, goal: int, request: pytest.FixtureRequest
) -> None:
    """Start the command, and kill it -9 once so many messages are there."""
    process = start(older, settings)
    while await asyncio.to_thread(moved_so_far, settings, request) < goal:
        assert process.poll() is None, process.communicate()
        await asyncio.sleep(0.01)
    process.kill()
    await asyncio.to_thread(process.communicate)


def moved_so_far(settings: Settings, request: pytest.FixtureRequest) -> int:
    """Return up to which id messages have been moved, as an outsider sees it."""
    url = make_url(settings.database)
    query = "SELECT MAX(id) FROM messages"
    if url.get_backend_name() == "sqlite":
        with suppress(sqlite3.Error), outsider(f"file:{url.database}?mode=ro", uri=True) as file:
            return file.execute(query).fetchone()[0] or 0
        return 0
    server: MariaDB = request.getfixturevalue("mariadb")
    with suppress(RuntimeError):
        [[last]] = server.execute(query, str(url.database))
        return 0 if last == "NULL" else int(last)
    return 0
