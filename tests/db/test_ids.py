"""An id is given once: or what is left of the first row would reach the second."""

import pytest
from sqlalchemy import delete, insert, select
from sqlmodel import SQLModel, col

from db.engines.database import Database
from db.models import Attachment, File
from tests.db.rows import NOW, add_users

FILE = {"name": "a", "size": 1, "media_type": "image/png", "created_at": NOW}


@pytest.mark.parametrize("table", [File, Attachment])
async def test_a_removed_row_keeps_its_id(
    database: Database, table: type[File] | type[Attachment]
) -> None:
    [owner] = await add_users(database, 1)
    async with database.write() as connection:
        file_id = (await connection.execute(insert(File).values(FILE))).inserted_primary_key[0]  # type: ignore[index]
    values: dict[type[SQLModel], dict[str, object]] = {
        File: FILE,
        Attachment: {
            "owner_id": owner,
            "file_id": file_id,
            "kind": "IMAGE",
            "filename": "a.png",
            "created_at": NOW,
        },
    }
    given: list[int] = []
    for _ in range(2):
        async with database.write() as connection:
            inserted = await connection.execute(insert(table).values(values[table]))
            given.append(inserted.inserted_primary_key[0])  # type: ignore[index]
        async with database.write() as connection:
            await connection.execute(delete(table).where(col(table.id) == given[-1]))
            assert given[-1] not in (await connection.execute(select(col(table.id)))).scalars()
    assert given[0] < given[1]
