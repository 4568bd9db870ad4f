"""Servers and databases that the tests share."""

from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

import httpx
import pytest

from db.engines import sqlite
from tests.support.mariadb import MariaDB, mariadb_server
from tests.support.server import RunningServer, running_server
from tests.support.tables import offer_tables

TESTS = Path(__file__).parent
ENGINES = ("sqlite", "mariadb")
# For tests on one engine only: where databases have no say, or a few cases are enough for one.
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True, scope="session")
on_mariadb = pytest.mark.parametrize("engine", ["mariadb"], indirect=True, scope="session")

# The files that take longest: the processes of `make test` begin with them, so that at the end none
# works alone.
LONGEST = (
    "web/test_chat_page_in_chromium.py",
    "db/test_resumable.py",
    "resolvers/test_floods.py",
    "schema/test_chat_apps.py",
    "test_attachments.py",
    "server/test_shared_connections.py",
    "server/test_workers.py",
    "server/test_worker_lives.py",
    "resolvers/test_state_and_facts.py",
    "test_users_command.py",
    "test_command_line.py",
    "schema/test_close_codes.py",
    "resolvers/test_search.py",
    "resolvers/test_attachments.py",
    "commands/test_killed_imports.py",
    "test_entering.py",
    "server/test_unfinished.py",
    "media/test_recorders.py",
    "test_faces.py",
    "test_cycles.py",
    "test_sessions.py",
    "test_directory.py",
    "web/test_client_build.py",
    "web/test_client.py",
    "web/test_playground_in_chromium.py",
    "media/test_sounds.py",
    "schema/test_moving_apps.py",
    "server/test_haproxy.py",
    "db/test_search_keeper.py",
    "server/test_storage.py",
)

# Each client of httpx reads all certificates of its package again, in 20 ms of CPU: a fifth of what
# these tests cost. Here they are read once a process.
httpx._transports.default.create_ssl_context = cache(httpx.create_ssl_context)  # type: ignore[attr-defined]

# A commit survives a killed process before the disk has it, and nothing here ends the machine.
# Servers in processes of their own, which some tests kill, wait for the disk as users' do.
SYNCHRONOUS = sqlite.SYNCHRONOUS
sqlite.SYNCHRONOUS = "OFF"

_databases = count(1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    ranks = {TESTS / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A private MariaDB for the session; skips where there is none."""
    with mariadb_server() as server:
        offer_tables(server)
        yield server


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each database engine in turn."""
    return str(request.param)


def fresh_database_url(engine: str, request: pytest.FixtureRequest, directory: Path) -> str:
    """Return the URL of a database that does not exist yet."""
    if engine == "sqlite":
        return f"sqlite:///{directory / f'test{next(_databases)}.db'}"
    server: MariaDB = request.getfixturevalue("mariadb")
    return server.url(f"test{next(_databases)}")


@pytest.fixture
def database_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the test's own, not made yet, on each engine."""
    return fresh_database_url(engine, request, tmp_path)


@pytest.fixture(scope="session")
def chat(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server that many tests share, on each engine: use users of your own."""
    directory = tmp_path_factory.mktemp(f"chat-{engine}")
    url = fresh_database_url(engine, request, directory)
    with running_server(directory, database_url=url, search="on") as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A shared server on SQLite only, for what no database has a say in."""
    with running_server(tmp_path_factory.mktemp("chat"), search="on") as server:
        yield server
