"""Starts that cannot go well, or not yet: each says why in a line, and leaves nothing behind."""

import asyncio
import re
from pathlib import Path

from tests.faults.waits import until
from tests.support.mariadb import mariadb_server
from tests.support.ports import free_port
from tests.test_command_line import _run, _serving


async def test_a_second_server_on_one_sqlite_file_is_refused(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
    shared = str(tmp_path / "data")
    async with _serving(first, DATA_DIR=shared) as served:
        port = str(free_port())
        done = await asyncio.to_thread(_run, second, "serve", "--port", port, DATA_DIR=shared)
        assert done.returncode == 1
        assert f"process {served.process.pid} serves" in done.stderr
        assert "MySQL" in done.stderr
        assert "Traceback" not in done.stderr
        users = await asyncio.to_thread(_run, second, "users", "list", DATA_DIR=shared)
        assert users.returncode == 0, users.stderr
        served.process.kill()
        await served.process.wait()
    async with _serving(second, DATA_DIR=shared):  # the hold of a killed server is gone
        pass


async def test_names_that_are_no_settings_are_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("JWT_SECERT=x\nLOG_LEVEL=info\n")
    async with _serving(tmp_path, DB_PASSWORD="x") as served:
        assert "JWT_SECERT is no setting and has no effect; did you mean JWT_SECRET?" in (
            served.logged
        )
        assert "did you mean DB_PASS?" in served.logged
        assert served.logged.count("did you mean") == 2


def test_users_on_a_fresh_clone_makes_nothing(tmp_path: Path) -> None:
    done = _run(tmp_path, "users", "list")
    assert done.returncode == 1
    assert "There is no database" in done.stderr
    assert "start the server once" in done.stderr
    assert [*tmp_path.iterdir()] == []


async def test_a_start_waits_for_a_database_that_comes_later(tmp_path: Path) -> None:
    with mariadb_server() as mariadb:
        url = mariadb.url("late")
        mariadb.kill()
        starting = asyncio.create_task(_started(tmp_path, url))
        log = tmp_path / "logged"
        await until(lambda: log.exists() and "Waiting for the database" in log.read_text(), 20)
        await asyncio.to_thread(mariadb.start)
        await starting


async def _started(directory: Path, url: str) -> None:
    async with _serving(directory, DATABASE_URL=url, WAIT_FOR_DB_SECONDS="60s"):
        pass


def test_a_database_that_stays_away_is_said_after_the_wait(tmp_path: Path) -> None:
    nobody = f"mysql://u:hidden@127.0.0.1:{free_port()}/x"
    done = _run(tmp_path, "migrate", DATABASE_URL=nobody, WAIT_FOR_DB_SECONDS="1")
    assert done.returncode == 1
    assert len(re.findall("Waiting for the database", done.stderr)) in (1, 2)
    assert "hidden" not in done.stderr
