"""Migrations that go on from wherever an earlier try was ended.

MySQL and MariaDB commit each statement that changes a table by itself. A process that is killed
between two statements leaves half of a migration behind, and the next start begins that migration
anew. So each of alembic's operations looks first, here, at what is there already: the authors of
migrations write `op.create_table(…)` and so on as usual, and cannot forget it. SQLite changes
everything or nothing, in the one transaction of the upgrade.

`op.execute` is run again as it is written: write statements that may run twice. A test ends each
migration after each of its statements, and compares the tables and the data at the end.
"""

from typing import Any

from alembic.ddl.mysql import MariaDBImpl, MySQLImpl
from alembic.ddl.sqlite import SQLiteImpl
from sqlalchemy import Connection, Index, Table, and_, func, inspect, select
from sqlalchemy.engine.reflection import Inspector

from db.engines.troubles import DatabaseUnsuitable

# What a migration says that cannot be taken back.
THE_WAY_BACK = "The way back is the backup from before the upgrade: docs/operate/upgrade.md"


class _Stoppable:
    """Asks before each statement whether the migration is to stop there."""

    context_opts: dict[str, Any]

    def _exec(self, *arguments: Any, **named: Any) -> Any:
        self.context_opts.get("before_statement", lambda: None)()
        return super()._exec(*arguments, **named)  # type: ignore[misc]  # alembic's class follows


class StoppableSQLite(_Stoppable, SQLiteImpl):
    """SQLite's operations."""

    __dialect__ = "sqlite"


class _Resumable(_Stoppable):
    """Leaves out what an earlier try has done."""

    connection: Connection | None

    @property
    def _there(self) -> Inspector:
        assert self.connection is not None  # noqa: S101  # nothing is written to a file here
        return inspect(self.connection)  # a new one each time: it remembers what it has seen

    def _columns(self, table: str) -> set[str]:
        return {column["name"] for column in self._there.get_columns(table)}

    def _indexes(self, table: str) -> set[str | None]:
        return {index["name"] for index in self._there.get_indexes(table)}

    def _constraints(self, table: str) -> set[str | None]:
        there = self._there
        return {
            found["name"]
            for read in (
                there.get_foreign_keys,
                there.get_unique_constraints,
                there.get_check_constraints,
            )
            for found in read(table)
        }

    def create_table(self, table: Table, **options: Any) -> None:
        if not self._there.has_table(table.name):
            super().create_table(table, **options)  # type: ignore[misc]
            return
        missing = {column.name for column in table.columns} - self._columns(table.name)
        if missing:
            raise DatabaseUnsuitable(
                f"It has a table {table.name!r} that is not Parley's (it lacks the columns"
                f" {', '.join(sorted(missing))}). Give Parley a database of its own"
            )
        for index in table.indexes:
            self.create_index(index)

    def drop_table(self, table: Table, **options: Any) -> None:
        if self._there.has_table(table.name):
            super().drop_table(table, **options)  # type: ignore[misc]

    def create_index(self, index: Index, **options: Any) -> None:
        assert index.table is not None  # noqa: S101  # alembic's indexes are of a table
        if index.name not in self._indexes(index.table.name):
            super().create_index(index, **options)  # type: ignore[misc]

    def drop_index(self, index: Index, **options: Any) -> None:
        assert index.table is not None  # noqa: S101  # as above
        if index.name in self._indexes(index.table.name):
            super().drop_index(index, **options)  # type: ignore[misc]

    def add_column(self, table_name: str, column: Any, **options: Any) -> None:
        if column.name not in self._columns(table_name):
            super().add_column(table_name, column, **options)  # type: ignore[misc]

    def drop_column(self, table_name: str, column: Any, **options: Any) -> None:
        if column.name in self._columns(table_name):
            super().drop_column(table_name, column, **options)  # type: ignore[misc]

    def alter_column(self, table_name: str, column_name: str, **options: Any) -> None:
        # Setting a type or a default again changes nothing; a column has its new name only once.
        new_name = options.get("name")
        if new_name is not None and column_name not in self._columns(table_name):
            column_name, options["name"] = new_name, None
        super().alter_column(table_name, column_name, **options)  # type: ignore[misc]

    def add_constraint(self, const: Any, **options: Any) -> None:
        if const.name is None:
            raise ValueError("A constraint needs a name, by which a later try finds it")
        if const.name not in self._constraints(const.table.name):
            super().add_constraint(const, **options)  # type: ignore[misc]

    def drop_constraint(self, const: Any, **options: Any) -> None:
        if const.name is None or const.name in self._constraints(const.table.name):
            super().drop_constraint(const, **options)  # type: ignore[misc]

    def rename_table(self, old_table_name: str, new_table_name: Any, schema: Any = None) -> None:
        if self._there.has_table(old_table_name):
            super().rename_table(old_table_name, new_table_name, schema)  # type: ignore[misc]

    def bulk_insert(self, table: Any, rows: list[dict[str, Any]], multiinsert: bool = True) -> None:
        new = [row for row in rows if not self._has_row(table, row)]
        if new:
            super().bulk_insert(table, new, multiinsert)  # type: ignore[misc]

    def _has_row(self, table: Any, row: dict[str, Any]) -> bool:
        keys = [column for column in table.columns if column.primary_key]
        if not keys or any(column.name not in row for column in keys):
            raise ValueError(
                f"Rows for {table.name} need their primary key, by which a later try finds them"
            )
        same = and_(*(column == row[column.name] for column in keys))
        count = select(func.count()).select_from(table).where(same)
        assert self.connection is not None  # noqa: S101  # as above
        return bool(self.connection.execute(count).scalar())


class ResumableMySQL(_Resumable, MySQLImpl):
    """MySQL's operations."""

    __dialect__ = "mysql"


class ResumableMariaDB(_Resumable, MariaDBImpl):
    """MariaDB's operations."""

    __dialect__ = "mariadb"
