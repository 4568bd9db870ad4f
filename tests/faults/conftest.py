"""The servers that the scenarios break, and a summary of what they measured."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger
from tests.faults.load import Load
from tests.faults.store import MariaDBStore, SQLiteStore, Store
from tests.support.left_open import left_open as left_open
from tests.support.mariadb import MariaDB, mariadb_server
from tests.support.redis import Redis, redis_server

LONG = os.environ.get("FAULTS") == "long"

Report = Callable[[str], None]

_lines: list[str] = []
_names = count(1)


def times(short: int, long: int) -> int:
    """How often, in the short form and with FAULTS=long."""
    return long if LONG else short


SECONDS = times(300, 3600)  # for one test


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """A private Redis; skips where there is none."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A private MariaDB that waits for the disk, as in production: here its commits are raced."""
    with mariadb_server(durable=True) as server:
        yield server


@pytest.fixture
def mariadb_store(mariadb: MariaDB) -> MariaDBStore:
    """A database on MariaDB that does not exist yet."""
    return MariaDBStore(mariadb, f"faults{next(_names)}")


@pytest.fixture
def store(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A database that does not exist yet, on each engine."""
    if engine == "sqlite":
        return SQLiteStore(tmp_path / "faults.db")
    found: MariaDBStore = request.getfixturevalue("mariadb_store")
    return found


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Add a line to the summary at the end of the run."""
    return lambda text: _lines.append(f"{request.node.name}: {text}")


def told(ledger: Ledger) -> str:
    """What a load came to."""
    received = sum(len(c) for reader in ledger.received for c in reader.connections)
    return (
        f"{len(ledger.sent)} messages, {ledger.rate:.0f}/s, {received} deliveries,"
        f" {ledger.cuts} cuts, longest wait without an acknowledgement"
        f" {ledger.longest_silence:.2f} s"
    )


async def settle(load: Load, store: Store, report: Report, *, pipelined: bool = True) -> None:
    """End the load and compare what clients know with the database."""
    rows = await load.finish(store)
    facts = [fact.id for fact in store.facts()]
    others = load.mixed.ids if load.mixed else ()
    load.ledger.verify(rows, store.head(), facts=facts, others=others, pipelined=pipelined)
    report(told(load.ledger))
    if load.mixed:
        report(load.mixed.told())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    if _lines:
        terminalreporter.section("faults survived")
        for line in _lines:
            terminalreporter.write_line(line)
