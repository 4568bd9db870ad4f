"""The database gone, the disk full: told, tried again on the same connections, nothing lost."""

import asyncio
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.conftest import Report
from tests.faults.outages import Patient, names_in
from tests.faults.processes import DATABASE_AWAY, Parley, parleys
from tests.faults.store import MariaDBStore
from tests.support.mariadb import MariaDB

pytestmark = pytest.mark.timeout(120)

DISK_BYTES = 16 * 1024 * 1024
UPLOAD = os.urandom(2 * 1024 * 1024)
# Some still fit: into what the database has of the disk.
MESSAGE_BYTES = 8000
TRIES = 200

Change = Callable[[Parley], None]


async def test_while_the_database_is_down_the_server_lives_and_says_so(
    mariadb: MariaDB, mariadb_store: MariaDBStore, tmp_path: Path, report: Report
) -> None:
    allowed = (DATABASE_AWAY,)
    with parleys(tmp_path, allowed=allowed, database_url=mariadb_store.url) as [parley]:
        async with Patient(parley) as patient:
            await asyncio.to_thread(mariadb.stop)
            try:
                await patient.is_refused()
                assert (await patient.http.get("/health")).json()["ok"]
                ready = await patient.http.get("/ready")
                assert (ready.status_code, ready.json()["ok"]) == (503, False)
                assert ready.headers["retry-after"] == "1"
            finally:
                await asyncio.to_thread(mariadb.start)
            await patient.recovers()
            report(f"{sum(map(len, patient.refused.values()))} refused, all stored afterwards")
        assert parley.starts == 1


@contextmanager
def small_disk(directory: Path) -> Iterator[tuple[Change, Change]]:
    """A file system of its own; how to fill it, and how to make room again. For root alone."""
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system")
    filler = directory / "filler"

    def fill(_: Parley) -> None:
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096) == 4096:
                pass

    try:
        yield fill, lambda _: filler.unlink()
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@contextmanager
def small_files(directory: Path) -> Iterator[tuple[Change, Change]]:
    """No file may grow any more: what a quota does. For everybody."""
    directory.mkdir()

    def limit(parley: Parley, size: int) -> None:
        resource.prlimit(parley.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def fill(parley: Parley) -> None:
        limit(parley, max(path.stat().st_size for path in directory.iterdir()))

    yield fill, lambda parley: limit(parley, resource.RLIM_INFINITY)


@pytest.mark.parametrize("disk", [small_disk, small_files])
async def test_while_the_disk_is_full_messages_and_files_are_refused_and_none_is_lost(
    disk: Callable[[Path], AbstractContextManager[tuple[Change, Change]]],
    tmp_path: Path,
    report: Report,
) -> None:
    data = tmp_path / "data"
    with (
        disk(data) as (fill, make_room),
        parleys(tmp_path, allowed=(DATABASE_AWAY,), data_dir=str(data)) as [parley],
    ):
        async with Patient(parley) as patient:
            kept = await patient.http.post("/api/uploads", files={"f": ("a.bin", b"kept")})
            before = names_in(data / "files")
            fill(parley)
            await patient.is_refused(MESSAGE_BYTES, TRIES)
            answer = await patient.http.post("/api/uploads", files={"f": ("b.bin", UPLOAD)})
            assert (answer.status_code, answer.json()["retryAfterMs"]) == (503, 1000)
            # What is there can be read, and the server is no other than before.
            assert (await patient.http.get("/health")).json()["ok"]
            assert (await patient.http.get("/ready")).status_code == 200
            assert (await patient.http.get(kept.json()["url"])).content == b"kept"
            assert len((await patient.http.get("/api/messages")).json()) == len(patient.stored)
            make_room(parley)
            await patient.recovers()
            assert names_in(data / "files") == before, "half of a file was left"
            answer = await patient.http.post("/api/uploads", files={"f": ("b.bin", UPLOAD)})
            assert answer.status_code == 201
            assert (await patient.http.get(answer.json()["url"])).content == UPLOAD
            report(
                f"{len(patient.stored)} stored, refused: {sum(map(len, patient.refused.values()))}"
            )
        assert parley.starts == 1
