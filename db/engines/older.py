"""What a database is, if it is not yet one that a server can use: another server's, half moved."""

from sqlalchemy import Connection, func, inspect, select, table

from db.engines.troubles import DatabaseUnsuitable

# The import's table (commands/moving/target.py). The migrations do not know it.
IMPORTS = "imports"
# The older server's tables, which have the names of ours.
TOLD = ("users", "messages")
GUIDE = "docs/moving-in.md"


def check_not_foreign(connection: Connection) -> None:
    """Raise DatabaseUnsuitable for a database with tables of another server's."""
    there = inspect(connection)
    names = there.get_table_names()
    if "alembic_version" in names or "log_head" in names:
        return  # ours
    found = [name for name in names if name.lower() in TOLD]
    if not found:
        return
    told = ", ".join(
        f"{name} ({connection.execute(select(func.count()).select_from(table(name))).scalar():,}"
        f" rows: {', '.join(column['name'] for column in there.get_columns(name))})"
        for name in found
    )
    scheme = (
        "sqlite:///FILE" if connection.dialect.name == "sqlite" else "mysql://USER:PASS@HOST/NAME"
    )
    raise DatabaseUnsuitable(
        f"This is the database of another chat server, with the tables {told}. Parley needs a"
        " database of its own, and moves that one's accounts and messages into it. Name an empty"
        " or a new database in DB_NAME or DATABASE_URL, and run:\n\n"
        f"    python main.py import --from {scheme}\n\n"
        f"with the address of this database. {GUIDE} shows the steps. Nothing was changed"
    )


def check_moved(connection: Connection) -> None:
    """Raise DatabaseUnsuitable where an import was begun and not finished."""
    if not inspect(connection).has_table(IMPORTS):
        return
    rows = connection.exec_driver_sql(f"SELECT source FROM {IMPORTS} WHERE finished_at IS NULL")  # noqa: S608  # nosec B608  # its name
    if (source := rows.scalar()) is not None:
        raise DatabaseUnsuitable(
            f"An import from {source} has not come to its end. Run it again, and it goes on from"
            " there: python main.py import --from …"
        )
