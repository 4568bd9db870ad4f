"""What a database's error means for us, and the line in the log that tells of it.

The one place that knows the errors' numbers. An error that is not in these tables is our own fault.
"""

import logging
import re
import sqlite3
from collections.abc import Mapping
from enum import Enum
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

logger = logging.getLogger("parley.db")


class DatabaseUnavailable(Exception):
    """The database does not answer, or refuses; nothing is wrong with the call."""


class Deadlocked(DatabaseUnavailable):
    """The database undid this transaction so that another could go on; it may be tried again."""


class DatabaseMoved(Deadlocked):
    """This server takes our work no more. Nothing was stored; a new connection may find another."""


class DatabaseBusy(DatabaseUnavailable):
    """SQLite is locked by another process for longer than we wait."""


class PoolExhausted(DatabaseUnavailable):
    """All connections are in use for longer than a caller waits."""


class TooLargeForDatabase(Exception):
    """One statement is larger than the database takes; the log names the setting."""


class DatabaseUnsuitable(Exception):
    """The database answers but cannot serve us; the text says what to change."""


class Remedy(Enum):
    """What is done about a trouble: what the log says of it, and what callers get."""

    RETRY = "the transaction is tried again", Deadlocked
    RECONNECT = "connecting anew, to wherever the address leads now", DatabaseMoved
    REFUSE = "callers are told to try again", DatabaseUnavailable
    BUSY = "another process writes to this file; callers are told to try again", DatabaseBusy
    SHRINK = "a message that does not fit is refused by itself", TooLargeForDatabase
    DAMAGED = "restore the file from a copy", DatabaseUnavailable


# Where the numbers come from: https://mariadb.com/kb/en/mariadb-error-code-reference/ and
# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
_MYSQL: Mapping[int, Remedy] = {
    # The transaction lost to another: InnoDB's, Galera's certification, group replication's.
    1020: Remedy.RETRY,  # ER_CHECKREAD, by MariaDB's innodb_snapshot_isolation
    1205: Remedy.RETRY,  # ER_LOCK_WAIT_TIMEOUT; Galera: the node is too far behind to read
    1213: Remedy.RETRY,  # ER_LOCK_DEADLOCK
    1614: Remedy.RETRY,  # ER_XA_RBDEADLOCK
    3101: Remedy.RETRY,  # ER_TRANSACTION_ROLLBACK_DURING_COMMIT
    # Read-only since the roles were changed: Aurora, an address that moved, an operator.
    1290: Remedy.RECONNECT,  # ER_OPTION_PREVENTS_STATEMENT: --read-only, --super-read-only
    1792: Remedy.RECONNECT,  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
    1836: Remedy.RECONNECT,  # ER_READ_ONLY_MODE: innodb_read_only
    3100: Remedy.RECONNECT,  # ER_RUN_HOOK_ERROR: this member of the group takes no writes
    # This server is leaving, or has not joined its cluster.
    1047: Remedy.RECONNECT,  # ER_UNKNOWN_COM_ERROR: "WSREP has not yet prepared node"
    1053: Remedy.RECONNECT,  # ER_SERVER_SHUTDOWN
    3032: Remedy.RECONNECT,  # ER_SERVER_OFFLINE_MODE
    9001: Remedy.RECONNECT,  # ProxySQL: no server of the group could be reached in time
    # Too many connections: of all, of a user, of a host.
    1040: Remedy.REFUSE,  # ER_CON_COUNT_ERROR
    1129: Remedy.REFUSE,  # ER_HOST_IS_BLOCKED
    1203: Remedy.REFUSE,  # ER_TOO_MANY_USER_CONNECTIONS
    1226: Remedy.REFUSE,  # ER_USER_LIMIT_REACHED
    # No way in, or the connection ended; the next caller makes another.
    1044: Remedy.REFUSE,  # ER_DBACCESS_DENIED_ERROR
    1045: Remedy.REFUSE,  # ER_ACCESS_DENIED_ERROR
    1049: Remedy.REFUSE,  # ER_BAD_DB_ERROR
    1130: Remedy.REFUSE,  # ER_HOST_NOT_PRIVILEGED
    1317: Remedy.REFUSE,  # ER_QUERY_INTERRUPTED
    1698: Remedy.REFUSE,  # ER_ACCESS_DENIED_NO_PASSWORD_ERROR
    1927: Remedy.REFUSE,  # ER_CONNECTION_KILLED
    2002: Remedy.REFUSE,  # CR_CONNECTION_ERROR
    2003: Remedy.REFUSE,  # CR_CONN_HOST_ERROR
    2006: Remedy.REFUSE,  # CR_SERVER_GONE_ERROR
    2013: Remedy.REFUSE,  # CR_SERVER_LOST, as when HAProxy or ProxySQL drops it
    4031: Remedy.REFUSE,  # ER_CLIENT_INTERACTION_TIMEOUT
    # No room: on the disk, in memory.
    1021: Remedy.REFUSE,  # ER_DISK_FULL
    1030: Remedy.REFUSE,  # ER_GET_ERRNO: "Got error 28 from storage engine"
    1114: Remedy.REFUSE,  # ER_RECORD_FILE_FULL: the tablespace, or the disk
    1037: Remedy.REFUSE,  # ER_OUTOFMEMORY
    1041: Remedy.REFUSE,  # ER_OUT_OF_RESOURCES
    # Larger than a setting allows.
    1118: Remedy.SHRINK,  # ER_TOO_BIG_ROWSIZE, for which innodb_log_file_size is too small
    1153: Remedy.SHRINK,  # ER_NET_PACKET_TOO_LARGE
}
_SETTINGS = {1153: "max_allowed_packet", 1118: "innodb_log_file_size"}

ER_ERROR_DURING_COMMIT = 1180
GALERA_ROLLED_BACK = "149"
# How the driver (asyncmy) and the event loop (uvloop) say that a connection is closed already, as a
# proxy closes it at once that has no server to lead to.
CLOSED_AT_ONCE = ("Transport does not expose socket", "unable to perform operation on <TCP")

# https://sqlite.org/rescode.html; the lowest byte of an extended code is its primary one.
_SQLITE: Mapping[int, Remedy] = {
    sqlite3.SQLITE_BUSY: Remedy.BUSY,
    sqlite3.SQLITE_LOCKED: Remedy.BUSY,
    # A file that was moved or replaced under us reads so until it is opened anew.
    sqlite3.SQLITE_READONLY: Remedy.RECONNECT,
    sqlite3.SQLITE_CANTOPEN: Remedy.RECONNECT,
    sqlite3.SQLITE_IOERR: Remedy.REFUSE,
    sqlite3.SQLITE_FULL: Remedy.REFUSE,
    sqlite3.SQLITE_NOMEM: Remedy.REFUSE,
    sqlite3.SQLITE_TOOBIG: Remedy.SHRINK,
    sqlite3.SQLITE_CORRUPT: Remedy.DAMAGED,
    sqlite3.SQLITE_NOTADB: Remedy.DAMAGED,
}

MOST_WORDS = 200
SAY_SECONDS = 10.0
MOST_KINDS = 100
# No pool is dropped more often than this: while the address still leads to the old server, each
# refused write would make ten connections.
DROP_SECONDS = 0.5


class Trouble(NamedTuple):
    """One error, judged."""

    remedy: Remedy
    code: str  # one line in the log for each, now and then
    words: str


def judge(error: BaseException | None, *, is_sqlite: bool) -> Trouble | None:
    """Return what the error means; None where it is none of the database's condition."""
    if isinstance(error, PoolTimeout | PoolExhausted):
        return Trouble(Remedy.REFUSE, "pool", "all connections are in use (DB_POOL_SIZE)")
    if isinstance(error, TimeoutError):
        # A server that hangs, or is gone without a word: its other connections hang as well.
        remedy = Remedy.REFUSE if is_sqlite else Remedy.RECONNECT
        return Trouble(remedy, "time", "no answer in time")
    if isinstance(error, OSError):
        return Trouble(Remedy.REFUSE, type(error).__name__, str(error) or type(error).__name__)
    if isinstance(error, RuntimeError) and str(error).startswith(CLOSED_AT_ONCE):
        return Trouble(Remedy.REFUSE, "closed", "the connection was closed as soon as it was made")
    if not isinstance(error, DBAPIError) or isinstance(error, IntegrityError):
        return None
    judged = _judge_sqlite(error) if is_sqlite else _judge_mysql(error)
    if judged is None and (
        isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
    ):
        return Trouble(Remedy.REFUSE, str(mysql_code(error)), _words(error, is_known=False))
    return judged


def too_large(size: int, packet_bytes: int | None) -> Trouble:
    """Return what is said of a statement that the database would not take."""
    words = f"a message needs {size} bytes, and max_allowed_packet is {packet_bytes}"
    return Trouble(Remedy.SHRINK, "max_allowed_packet", words)


def mysql_code(error: BaseException | None) -> int | None:
    """Return the number of MySQL's error; None when it has none."""
    original = error.orig if isinstance(error, DBAPIError) else None
    code = original.args[0] if original is not None and original.args else None
    return code if isinstance(code, int) else None


def _judge_mysql(error: DBAPIError) -> Trouble | None:
    code = mysql_code(error)
    remedy = None if code is None else _MYSQL.get(code)
    if code == ER_ERROR_DURING_COMMIT:
        remedy = Remedy.RETRY if GALERA_ROLLED_BACK in str(error.orig) else Remedy.REFUSE
    if code is None or remedy is None:
        return None
    words = _words(error)
    if code in _SETTINGS:
        words = f"{words}: the setting is {_SETTINGS[code]}"
    return Trouble(remedy, str(code), words)


def _judge_sqlite(error: DBAPIError) -> Trouble | None:
    code = getattr(error.orig, "sqlite_errorcode", None)
    remedy = None if code is None else _SQLITE.get(code & 0xFF)
    return None if remedy is None else Trouble(remedy, f"SQLite {code}", _words(error))


def _words(error: DBAPIError, *, is_known: bool = True) -> str:
    """Return the database's own words: never the statement, nor what it was given."""
    told = error.orig
    if told is None:
        return type(error).__name__
    words = str(told.args[-1] if told.args else told) or type(told).__name__
    first = words.splitlines()[0][:MOST_WORDS] if words.splitlines() else type(told).__name__
    # What an error that we do not know quotes may be what somebody wrote.
    return first if is_known else re.sub(r"'[^']*'?", "'…'", first)


class Judging:
    """Turns a driver's errors into ours, says them, and has the pools dropped where that helps."""

    def __init__(self, *, is_sqlite: bool, says: bool = True) -> None:
        self._is_sqlite = is_sqlite
        self._says = says
        self._said: dict[str, tuple[float, int]] = {}
        self.dropped_at = float("-inf")

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Raise DatabaseUnavailable or one of its kinds, or TooLargeForDatabase."""
        if error is None or not isinstance(error, Exception):
            return
        trouble = judge(error, is_sqlite=self._is_sqlite)
        if trouble is None:
            return
        if self._says:
            self.say(trouble)
        # Where many callers meet the same trouble, it is enough to drop the pools for the first.
        now = monotonic()
        if trouble.remedy is Remedy.RECONNECT and now - self.dropped_at > DROP_SECONDS:
            self.dropped_at = now
        _, raised = trouble.remedy.value
        raise raised(trouble.words) from error

    def say(self, trouble: Trouble) -> None:
        """Log a kind of trouble at once, and then every ten seconds how often it was."""
        now = monotonic()
        said_at, unsaid = self._said.get(trouble.code, (now - 2 * SAY_SECONDS, 0))
        if now - said_at < SAY_SECONDS:
            self._said[trouble.code] = (said_at, unsaid + 1)
            return
        if len(self._said) >= MOST_KINDS:
            self._said.clear()
        self._said[trouble.code] = (now, 0)
        level = logging.ERROR if trouble.remedy is Remedy.DAMAGED else logging.WARNING
        more = f" ({unsaid} more of these since the last line)" if unsaid else ""
        done, _ = trouble.remedy.value
        logger.log(level, "The database: %s [%s]; %s%s", trouble.words, trouble.code, done, more)
