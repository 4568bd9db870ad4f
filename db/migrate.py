"""Brings a database's tables to the version of this code.

The next start continues an upgrade that was interrupted, wherever that was (db/resumable.py).
SIGTERM and Ctrl+C wait for the statement under way.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from db.engines.database import Database, DatabaseBusy, DatabaseUnsuitable
from db.engines.older import check_moved

if TYPE_CHECKING:
    # Functions import alembic when tables are to be changed: a start with the newest tables, which
    # is nearly every one, would spend a tenth of its time on it.
    from alembic.config import Config

logger = logging.getLogger("parley.db")

MIGRATIONS = Path(__file__).parent / "migrations"

# Servers that start at once migrate one after the other; each database has a lock of its own.
LOCK = "CONCAT('parley-migrations-', LEFT(SHA1(DATABASE()), 20))"
# How often a process that waits for another's migration checks for signals, and says that it waits.
LOCK_TRY_SECONDS = 2
SAY_SECONDS = 30.0
# A connection that is idle for so long between two statements belongs to a process that hangs, or
# to a machine that is gone. The database closes it, which frees its lock.
IDLE_SECONDS = 300
# Percona's XtraDB Cluster has no GET_LOCK, and answers with this general error.
ER_UNKNOWN_ERROR = 1105


class MigrationStopped(BaseException):
    """SIGTERM or Ctrl+C ended the migration between two statements; `signal` says which.

    A BaseException, as KeyboardInterrupt is: no handler of failures may catch it.
    """

    def __init__(self, stopped_by: signal.Signals) -> None:
        super().__init__("Stopped while migrating; the next start goes on from here")
        self.signal = stopped_by


class _Stop:
    """Whether the migration is to stop: after its statement, or, asked a second time, at once."""

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self._task = asyncio.current_task()

    def ask(self, signum: signal.Signals) -> None:
        if self.asked is None:
            logger.warning("Stopping once the migration's statement under way has ended")
        elif self._task is not None:
            self._task.cancel()
        self.asked = signum

    def check(self) -> None:
        """Raise MigrationStopped when it is so."""
        if self.asked is not None:
            raise MigrationStopped(self.asked)


async def upgrade(
    database: Database,
    *,
    revision: str = "head",
    stoppable: bool = False,
    importing: bool = False,
) -> None:
    """Apply the migrations that are missing. Raises DatabaseUnsuitable, DatabaseUnavailable.

    With `stoppable`, SIGTERM and SIGINT raise MigrationStopped: for a process without handlers.
    Only with `importing` may an import have been begun and not finished.
    """
    await database.prepare()
    async with database.read() as connection:
        if not importing:
            await connection.run_sync(check_moved)
        if await connection.run_sync(_is_at, revision):
            return
        if (older := await connection.run_sync(version_of)) is not None:
            logger.warning(
                "Upgrading the database's tables, which are of version %s. No server of an older"
                " Parley may run on this database, now or later: stop each that does",
                older,
            )
    stop = _Stop()
    with _asked_by_signals(stop) if stoppable else nullcontext():
        try:
            await _upgrade_in_turn(database, revision, stop)
        except asyncio.CancelledError:
            stop.check()
            raise


async def check(database: Database) -> None:
    """Raise alembic's CommandError unless the tables are what the models say."""
    async with database.write() as connection:
        await connection.run_sync(_check)


async def _upgrade_in_turn(database: Database, revision: str, stop: _Stop) -> None:
    said = -SAY_SECONDS
    while True:
        try:
            async with database.write(seconds=None) as connection:  # a large table takes its time
                await connection.run_sync(_upgrade, revision, stop)
            return
        except DatabaseBusy:  # SQLite's: another process writes for longer than a message takes
            stop.check()
            said = _say_waiting(said)


def _check(connection: Connection) -> None:
    from alembic import command

    command.check(_config(connection, lambda: None))


def _upgrade(connection: Connection, revision: str, stop: _Stop) -> None:
    from alembic import command

    # On SQLite the write transaction keeps other processes out.
    if connection.dialect.name == "sqlite":
        command.upgrade(_config(connection, stop.check), revision)
        return
    connection.execute(text(f"SET SESSION wait_timeout = {IDLE_SECONDS:d}"))
    is_locked = _acquire_lock(connection, stop)
    try:
        command.upgrade(_config(connection, stop.check), revision)
    except BaseException:
        connection.invalidate()  # which frees the lock
        raise
    connection.execute(text("SET SESSION wait_timeout = DEFAULT"))
    # Before the lock is free: the next process must see the version that was reached.
    connection.exec_driver_sql("COMMIT")
    if is_locked:
        connection.execute(text(f"SELECT RELEASE_LOCK({LOCK})"))


def _acquire_lock(connection: Connection, stop: _Stop) -> bool:
    said = -SAY_SECONDS
    seconds = 0
    while True:
        stop.check()
        try:
            taken = connection.execute(text(f"SELECT GET_LOCK({LOCK}, {seconds:d})"))
        except DBAPIError as error:
            if error.orig is None or error.orig.args[:1] != (ER_UNKNOWN_ERROR,):
                raise
            logger.warning(
                "This database has no GET_LOCK: start one server at a time while tables are changed"
            )
            return False
        if taken.scalar() == 1:
            return True
        said = _say_waiting(said)
        seconds = LOCK_TRY_SECONDS


def _say_waiting(said: float) -> float:
    if monotonic() - said < SAY_SECONDS:
        return said
    logger.warning("Another process changes the database's tables; waiting until it has ended")
    return monotonic()


def _is_at(connection: Connection, revision: str) -> bool:
    """Whether nothing is missing. Raises DatabaseUnsuitable for a database of a newer Parley."""
    found = version_of(connection)
    if found is None:
        return False
    known = versions()
    if found not in known:
        raise DatabaseUnsuitable(
            f"Its tables are of a newer Parley (version {found}; this one knows up to {known[-1]})."
            " Run that Parley, or put back the backup from before its upgrade:"
            " docs/operate/upgrade.md"
        )
    return found == (known[-1] if revision == "head" else revision)


def versions() -> list[str]:
    """Return the versions that tables may have, oldest first: the migrations' names begin so."""
    files = (MIGRATIONS / "versions").glob("[0-9]*.py")
    return sorted(file.name.partition("_")[0] for file in files)


def version_of(connection: Connection) -> str | None:
    """Return the version of the tables; None where there are none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


@contextmanager
def _asked_by_signals(stop: _Stop) -> Iterator[None]:
    """Have SIGTERM and SIGINT ask for a stop instead of ending the process at once."""
    loop = asyncio.get_running_loop()
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    for signum in before:
        loop.add_signal_handler(signum, stop.ask, signum)
    try:
        yield
    finally:
        for signum, handler in before.items():
            loop.remove_signal_handler(signum)
            signal.signal(signum, handler)


def _config(connection: Connection, before_statement: Callable[[], None]) -> "Config":
    from alembic.config import Config

    config = Config(stdout=sys.stdout)  # as it is now, not as it was when alembic was imported
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["before_statement"] = before_statement
    return config
