"""More sends than may wait while the database hangs: refused, not kept."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Report
from tests.faults.load import register
from tests.faults.processes import DATABASE_AWAY, parleys
from tests.faults.store import MariaDBStore
from tests.faults.waits import until
from tests.faults.wire import Refused, SocketIOClient
from tests.support.mariadb import MariaDB

pytestmark = pytest.mark.timeout(120)

MAX_PENDING = 200
ONE_BATCH = 256  # is being written and does not wait any more
CONTENT_BYTES = 8000
MEGABYTE = 1024 * 1024


async def test_beyond_what_may_wait_senders_are_told_to_try_again(
    mariadb: MariaDB, mariadb_store: MariaDBStore, tmp_path: Path, report: Report
) -> None:
    settings: dict[str, Any] = {"database_url": mariadb_store.url, "max_pending_sends": MAX_PENDING}
    with parleys(tmp_path, allowed=(DATABASE_AWAY,), **settings) as [parley]:
        users = await register(parley.port, 20)
        clients = [await SocketIOClient.open(parley.port, user.token) for user in users]
        answers: dict[tuple[int, str], asyncio.Future[int]] = {}

        async def send(rounds: int) -> None:
            for number in range(rounds):
                for user, client in zip(users, clients, strict=True):
                    key = f"{len(answers)}"
                    content = f"{key} ".ljust(CONTENT_BYTES, "x")
                    answers[user.id, key] = await client.start(key, content, users[0].id)
                if number % 10 == 9:
                    await asyncio.sleep(0)

        def open_sends() -> int:
            return sum(1 for answer in answers.values() if not answer.done())

        await send(1)
        await asyncio.gather(*answers.values())
        before = parley.resident_bytes()
        mariadb.pause()
        try:
            await send(150)
            # Each connection has at most so many under way: all others must be answered.
            await until(lambda: open_sends() <= MAX_PENDING + ONE_BATCH, 20)
            grown = parley.resident_bytes() - before
        finally:
            mariadb.resume()
        await asyncio.wait(answers.values(), timeout=40)
        refused = 0
        stored: dict[tuple[int, str], int] = {}
        for key, answer in answers.items():
            error = answer.exception()
            if error is None:
                stored[key] = answer.result()
            else:
                assert isinstance(error, Refused)
                assert error.code == "RATE_LIMITED"
                refused += 1
        rows = await asyncio.to_thread(mariadb_store.rows)
        assert {(row.sender_id, row.key): row.id for row in rows} == stored
        assert [row.id for row in rows] == list(range(1, len(rows) + 1))
        assert refused > 1000
        assert len(stored) >= MAX_PENDING
        assert grown < 60 * MEGABYTE
        report(
            f"{len(answers)} sends of 8 kB: {refused} refused, {len(stored)} stored,"
            f" memory grew by {grown / MEGABYTE:.0f} MB"
        )
        for client in clients:
            await client.close()
