"""SQLAlchemy: compiled statements, errors, the pool's events; Alembic's operations."""

from pathlib import Path
from typing import Any

import alembic.ddl.impl
import pytest
from alembic.ddl.mysql import MariaDBImpl, MySQLImpl
from alembic.ddl.sqlite import SQLiteImpl
from sqlalchemy import event, select
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import col

from db import resumable
from db.engines.statements import as_told
from db.models import User
from tests.seams.reading import missing, unlike, used_of


@pytest.mark.parametrize(
    "dialect", [sqlite.dialect(paramstyle="qmark"), mysql.dialect(paramstyle="format")]
)
def test_a_statement_says_its_text_and_the_order_of_its_parameters(dialect: Any) -> None:
    from sqlalchemy import bindparam

    query = select(col(User.id)).where(
        col(User.email) == bindparam("b"), col(User.id) > bindparam("a")
    )
    compiled = query.limit(5).compile(dialect=dialect)
    assert [name for name in compiled.positiontup or () if name in "ab"] == ["b", "a"]
    # What SQLAlchemy gives itself, as LIMIT's number, is there by its name.
    assert set(compiled.positiontup or ()) - {"a", "b"} <= compiled.params.keys()
    assert str(compiled).count("?" if dialect.name == "sqlite" else "%s") == len(
        compiled.positiontup or ()
    )


def test_a_drivers_error_is_told_as_sqlalchemy_tells_it() -> None:
    dialect = create_async_engine("sqlite+aiosqlite://").sync_engine.dialect
    error = dialect.loaded_dbapi.OperationalError("disk I/O error")
    told = as_told(dialect, "SELECT 1", error)
    assert isinstance(told, OperationalError)
    assert isinstance(told, DBAPIError)
    assert told.orig is error
    assert told.connection_invalidated


async def test_the_pool_tells_of_making_taking_and_giving_back(tmp_path: Path) -> None:
    engine = create_async_engine(
        make_url(f"sqlite+aiosqlite:///{tmp_path / 'pool.db'}"), pool_size=1, max_overflow=0
    )
    told: list[str] = []
    gone = True

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        told.append("connect")
        record.info["made_at"] = len(told)

    @event.listens_for(engine.sync_engine, "checkout")
    def checkout(connection: Any, record: Any, proxy: Any) -> None:
        nonlocal gone
        told.append(f"checkout {record.info['made_at']}")
        if gone:
            gone = False
            raise DisconnectionError  # the pool makes another, and tries again

    @event.listens_for(engine.sync_engine, "checkin")
    def checkin(connection: Any, record: Any) -> None:
        told.append("checkin")

    async with engine.connect() as connection:
        assert connection.sync_connection is not None
        # db/engines/recent.py reads and writes what the record holds, through the connection.
        assert connection.sync_connection.info["made_at"] == 3
        assert connection.sync_connection.connection.driver_connection is not None
    assert told == ["connect", "checkout 1", "connect", "checkout 3", "checkin"]
    await engine.dispose()


def test_mysqls_engine_takes_our_options() -> None:
    engine = create_async_engine(
        "mysql+asyncmy://u:p@127.0.0.1/d",
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,
    )
    assert engine.dialect.skip_autocommit_rollback is True
    assert hasattr(engine.dialect, "is_mariadb")
    assert hasattr(engine.dialect, "server_version_info")
    assert callable(engine.dialect.do_ping)


IMPLS: dict[str, tuple[Any, Any]] = {
    "sqlite": (resumable.StoppableSQLite, SQLiteImpl),
    "mysql": (resumable.ResumableMySQL, MySQLImpl),
    "mariadb": (resumable.ResumableMariaDB, MariaDBImpl),
}
OPERATIONS = (
    *("create_table", "drop_table", "create_index", "drop_index", "add_column", "drop_column"),
    *("alter_column", "add_constraint", "drop_constraint", "rename_table", "bulk_insert"),
)


@pytest.mark.parametrize("name", IMPLS)
def test_alembic_takes_our_operations_for_the_dialect(name: str) -> None:
    ours, theirs = IMPLS[name]
    assert alembic.ddl.impl._impls[name] is ours
    assert missing(("_exec", "context_opts", "connection", *OPERATIONS), theirs) in (
        [],
        ["connection", "context_opts"],  # which are set by `__init__`
    )


@pytest.mark.parametrize("name", ["mysql", "mariadb"])
def test_alembics_operations_begin_with_what_ours_name(name: str) -> None:
    ours, theirs = IMPLS[name]
    called = used_of("super()", resumable._Resumable)
    assert called == set(OPERATIONS)
    assert unlike(ours, theirs, ["bulk_insert"]) == []
    for operation in OPERATIONS:
        import inspect

        def named(class_: type, of: str = operation) -> list[str]:
            found = inspect.signature(getattr(class_, of)).parameters.values()
            return [p.name for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]

        own = named(ours)
        assert named(theirs)[: len(own)] == own, operation
