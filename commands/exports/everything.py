"""`export --all`: each table as JSON lines, and every file of the store."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel, col

from commands.exports.folder import Folder
from commands.exports.snapshot import snapshot, stream
from db.engines.database import Database
from db.facts import read_cursor
from db.files import FileMissing, FileStore
from db.models import Avatar, File
from resolvers.attachments.avatars import SIDES, stored_name
from resolvers.attachments.sweep import thumbnail_name

logger = logging.getLogger("parley.export")

# Of the form of these files; raised when a reader of the older form could not read the newer one.
FORMAT = {"format": "parley-export", "version": 1}


async def export_everything(database: Database, files: FileStore, folder: Folder) -> dict[str, Any]:
    """Write everything, as it was at one moment; return what `export.json` says of it.

    Password hashes are among it. No token is: tokens are signed, not stored.
    """
    tables: dict[str, int] = {}
    async with snapshot(database) as connection:
        epoch, position = await read_cursor(connection)
        for table in SQLModel.metadata.sorted_tables:
            query = select(table).order_by(*table.primary_key.columns)
            name = f"tables/{table.name}.jsonl"
            tables[table.name] = await folder.write_lines(name, stream(connection, query))
        # After the tables: a file that is removed meanwhile is one that nobody could open any more.
        copied, missing = 0, 0
        async for name, size in _stored(connection):
            if await copy(files, name, size, folder, f"files/{name}"):
                copied += 1
            else:
                missing += 1
    described = {
        **FORMAT,
        "made_at": datetime.now(UTC),
        "epoch": epoch,
        "position": position,
        "tables": tables,
        "files": copied,
        "files_missing": missing,
    }
    folder.write("export.json", described)
    return described


async def copy(files: FileStore, name: str, size: int, folder: Folder, to: str) -> bool:
    """Copy a file of the store; return whether it was there. Raises StoreUnavailable."""
    try:
        await folder.write_file(to, files.read(name, 0, size))
    except FileMissing:
        folder.remove(to)
        logger.warning("The store has no file %s", name)
        return False
    return True


async def _stored(connection: AsyncConnection) -> AsyncIterator[tuple[str, int]]:
    """Yield the name and the size of each file that the store should have."""
    query = select(col(File.name), col(File.size), col(File.thumbnail_size)).where(
        col(File.sha256).is_not(None), col(File.size) >= 0
    )
    async for row in stream(connection, query.order_by(col(File.id))):
        yield row["name"], row["size"]
        if row["thumbnail_size"]:
            yield thumbnail_name(row["name"]), row["thumbnail_size"]
    pictures = select(Avatar.__table__).where(col(Avatar.in_use).is_(True))  # type: ignore[attr-defined]  # SQLModel hides it
    async for row in stream(connection, pictures):
        for side in SIDES:
            yield stored_name(row["key"], SIDES[side]), row[f"{side}_size"]
