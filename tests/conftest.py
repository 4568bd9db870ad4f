"""Servers and databases that the tests share."""

from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.support.mariadb import MariaDB, mariadb_server
from tests.support.server import RunningServer, running_server
from tests.support.tables import offer_tables

TESTS = Path(__file__).parent
ENGINES = ("sqlite", "mariadb")

# The files that take longest: the processes of `make test` begin with them, so that at the end none
# works alone.
LONGEST = (
    "db/test_resumable.py",
    "test_users_command.py",
    "test_attachments.py",
    "resolvers/test_floods.py",
    "resolvers/test_state_and_facts.py",
    "schema/test_chat_apps.py",
    "test_command_line.py",
    "server/test_workers.py",
    "server/test_worker_lives.py",
    "resolvers/test_attachments.py",
    "resolvers/test_search.py",
    "resolvers/test_profiles.py",
    "test_faces.py",
    "resolvers/test_storage.py",
    "schema/test_close_codes.py",
    "media/test_hostile.py",
    "resolvers/test_events.py",
    "server/test_storage.py",
    "test_directory.py",
)

# Each client of httpx reads all certificates of its package again, in 20 ms of CPU: a fifth of what
# these tests cost. Here they are read once a process.
httpx._transports.default.create_ssl_context = cache(httpx.create_ssl_context)  # type: ignore[attr-defined]

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
