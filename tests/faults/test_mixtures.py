"""A writer of mixtures killed -9: what was acknowledged is in the log, which stays dense."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from db import migrate
from tests.db.mixture_model import Model
from tests.db.rows import add_users, open_database
from tests.db.test_mixtures import _entries

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 5
PROGRAM = """
import asyncio, random, sys
from db.engines.database import DatabaseUnavailable
from tests.db.rows import open_database
from tests.db.test_mixtures import Process, _change

async def main(url, seed, people):
    process, chance = Process(open_database(url)), random.Random(seed)

    async def act():
        while True:
            outcome = await process.attempt(_change(chance, people[:8], process.told))
            if hasattr(outcome, "created_at"):
                print(outcome.id, type(outcome).__name__, flush=True)

    await asyncio.gather(*(act() for _ in range(20)))

asyncio.run(main(sys.argv[1], sys.argv[2], [*map(int, sys.argv[3:])]))
"""


@pytest.mark.timeout(120)
async def test_a_writer_of_mixtures_killed_again_and_again(database_url: str) -> None:
    database = open_database(database_url)
    await migrate.upgrade(database)
    people = await add_users(database, 8)
    acknowledged: dict[int, str] = {}
    for seed in range(ROUNDS):
        # Two at once: each must follow what the other decides.
        writers = [
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                PROGRAM,
                database_url,
                str(seed * 2 + number),
                *map(str, people),
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
            )
            for number in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            await asyncio.wait_for(writer.stdout.readline(), 30)
        await asyncio.sleep(random.uniform(0.2, 0.8))
        for writer in writers:
            writer.kill()
        for writer in writers:
            assert writer.stdout is not None
            for line in (await writer.stdout.read()).decode().splitlines()[:-1]:
                position, kind = line.split()
                acknowledged[int(position)] = kind
            await writer.wait()
    entries = await _entries(database)
    assert len(acknowledged) > 20 * ROUNDS
    stored = {entry.id: type(entry).__name__ for entry in entries}
    assert {position: stored.get(position) for position in acknowledged} == acknowledged
    model = Model()
    for entry in entries:
        model.take(entry)
    assert {"Fact", "StoredMessage"} == {*stored.values()}
    await database.close()
