"""MySQL's and MariaDB's side: engines, TLS, the database that is made, what a server must be."""

import logging
import ssl
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from db.engines.troubles import DatabaseUnsuitable, mysql_code

logger = logging.getLogger("parley.db")

OLDEST_MYSQL = (8, 0)
OLDEST_MARIADB = (10, 6)
# How many statements a reading connection keeps prepared: to parse and plan the statement of a page
# takes as long as to run it. MySQL has room for 16,382 of all its clients together.
PREPARED = 32
ER_DBACCESS_DENIED = 1044
ER_WRONG_DATABASE_NAME = 1102
ER_ACCESS_DENIED_FOR_CREATE = 1227
# The server is read-only for now; whether it has the database will show later.
ER_READ_ONLY = (1290, 1792, 1836)
# What one connection may send at once: our largest batch, and its statement around it.
WANTED_PACKET_BYTES = 4 * 1024 * 1024

# The parameters of a URL that speak of TLS, as MySQL's client, PostgreSQL's and drivers name them.
_TLS_WORDS = {
    "ssl-mode": "mode", "sslmode": "mode", "ssl": "mode",
    "ssl-ca": "authority", "sslrootcert": "authority",
    "ssl-cert": "certificate", "sslcert": "certificate",
    "ssl-key": "key", "sslkey": "key",
}  # fmt: skip
_TLS_MODES = {
    "disabled": "disabled", "disable": "disabled", "false": "disabled", "0": "disabled",
    "required": "required", "require": "required", "true": "required", "1": "required",
    "verify-ca": "verify-ca",
    "verify-identity": "verify-identity", "verify-full": "verify-identity",
}  # fmt: skip


class MySQLFacts:
    """What the server that answered last says of itself."""

    def __init__(self) -> None:
        self.packet_bytes: int | None = None
        self._warned_of: int | None = None

    def learn(self, connection: Any) -> None:
        """Ask a new connection; in a cluster, have it see what was committed on other nodes."""
        cursor = connection.cursor()
        cursor.execute(
            "SHOW SESSION VARIABLES WHERE Variable_name IN"
            " ('max_allowed_packet', 'wsrep_sync_wait')"
        )
        found = {str(name).lower(): value for name, value in cursor.fetchall()}
        if "wsrep_sync_wait" in found:
            # Galera's nodes apply what others committed a little later: a read waits for it.
            cursor.execute("SET SESSION wsrep_sync_wait = 1")
        cursor.close()
        if "max_allowed_packet" in found:
            self._learn_packet(int(found["max_allowed_packet"]))

    def _learn_packet(self, size: int) -> None:
        self.packet_bytes = size
        if size < WANTED_PACKET_BYTES and size != self._warned_of:
            self._warned_of = size
            logger.warning(
                "The database's max_allowed_packet is %d bytes: set it to %d. Until then fewer"
                " messages are stored at once, and those that do not fit are refused",
                size,
                WANTED_PACKET_BYTES,
            )


def mysql_engine(
    url: URL,
    *,
    pool_size: int,
    writes: bool,
    wait_seconds: float,
    connect_seconds: float,
    facts: MySQLFacts | None = None,
) -> AsyncEngine:
    """Return an engine that reads, each statement by itself, or one that writes."""
    engine = create_async_engine(
        url.set(query={}),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=wait_seconds,
        # READ COMMITTED: what is read after the log's row lock is what was committed before it.
        isolation_level="READ COMMITTED" if writes else "AUTOCOMMIT",
        skip_autocommit_rollback=True,
        # `begin` has committed or rolled back, and closes a connection on which it could not.
        pool_reset_on_return=None,
        connect_args={
            "charset": "utf8mb4",
            "ssl": tls(url),
            "connect_timeout": connect_seconds,
            # Too long or malformed values are errors whatever the server's configuration says.
            "init_command": "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
            "stmt_cache_size": 0 if writes else PREPARED,
        },
    )
    if facts is not None:

        @event.listens_for(engine.sync_engine, "connect")
        def learn(connection: Any, record: Any) -> None:
            facts.learn(connection)

    return engine


def tls(url: URL) -> ssl.SSLContext | None:
    """Return what the URL's parameters say of TLS, in MySQL's words or PostgreSQL's.

    A server is never taken whose certificate another authority has signed than the one that is
    named. Raises DatabaseUnsuitable.
    """
    told: dict[str, str] = {}
    for name, value in url.query.items():
        word = name.lower().replace("_", "-")
        if word in _TLS_WORDS:
            told[_TLS_WORDS[word]] = str(value)
        elif word != "charset":  # it is utf8mb4, whatever they say
            raise DatabaseUnsuitable(f"The database's URL has an unknown parameter: {name}")
    mode = told.get("mode", "verify-ca" if "authority" in told else "disabled")
    mode = _TLS_MODES.get(mode.lower().replace("_", "-"), mode)
    if mode not in _TLS_MODES.values():
        raise DatabaseUnsuitable(f"The database's URL has {mode!r} for the way to use TLS")
    if mode == "disabled":
        return None
    if "key" in told and "certificate" not in told:
        raise DatabaseUnsuitable("The database's URL has ssl-key without ssl-cert")
    try:
        context = ssl.create_default_context(cafile=told.get("authority"))
        if "certificate" in told:
            # A key with a password would have the server ask for it on the terminal.
            context.load_cert_chain(told["certificate"], told.get("key"), password="")  # nosec B106
    except OSError as error:  # ssl's own errors are of this kind
        files = [told[name] for name in ("authority", "certificate", "key") if name in told]
        raise DatabaseUnsuitable(
            f"The database's certificates cannot be used ({', '.join(files)}):"
            f" {error.strerror or error}"
        ) from error
    if mode != "verify-identity":
        context.check_hostname = False
    if mode == "required" and "authority" not in told:
        context.verify_mode = ssl.CERT_NONE
    return context


async def create_database(engine: AsyncEngine, name: str) -> None:
    """Make the database when it is missing and we may; `engine` is connected to none.

    Raises DatabaseUnsuitable, sqlalchemy's DBAPIError.
    """
    quoted = engine.dialect.identifier_preparer.quote_identifier(name)
    try:
        async with engine.connect() as connection:
            await connection.exec_driver_sql(
                f"CREATE DATABASE IF NOT EXISTS {quoted} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            )
    except DBAPIError as error:
        code = mysql_code(error)
        if code == ER_WRONG_DATABASE_NAME:
            raise DatabaseUnsuitable(f"{name!r} cannot be the name of a database") from error
        if code not in {ER_DBACCESS_DENIED, ER_ACCESS_DENIED_FOR_CREATE, *ER_READ_ONLY}:
            raise
        # The user may not create databases: fine when somebody else has made this one.
        logger.info("May not create databases; using %s as it is", name)


def check_version(connection: Connection) -> None:
    """Raise DatabaseUnsuitable for a server, or tables, that would lose messages."""
    dialect: Any = connection.dialect
    name, oldest = ("MariaDB", OLDEST_MARIADB) if dialect.is_mariadb else ("MySQL", OLDEST_MYSQL)
    version = tuple(connection.dialect.server_version_info or ())
    if version[:2] < oldest:
        found, needed = (".".join(map(str, parts)) for parts in (version, oldest))
        raise DatabaseUnsuitable(f"{name} {found} is too old: Parley needs {needed}")
    wrong = connection.execute(
        text(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND table_name IN"
            " ('users', 'messages', 'log_head', 'files', 'attachments', 'message_attachments',"
            " 'sessions', 'log', 'blocks')"
            " AND table_collation <> 'utf8mb4_bin'"
        )
    ).scalars()
    if names := sorted(wrong):
        raise DatabaseUnsuitable(
            f"The tables {', '.join(names)} are not utf8mb4: emoji would be lost. Convert each with"
            " ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )
