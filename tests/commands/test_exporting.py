"""`main.py export`: what a user is handed, and everything, while the server runs."""

import argparse
import asyncio
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlmodel import SQLModel

from commands import exporting
from commands.exports.folder import Folder, FolderUnusable
from db.engines.database import Database
from settings import Settings
from tests.commands.test_importing import graphql
from tests.conftest import fresh_database_url
from tests.db.rows import open_database
from tests.support.faces import Account, new_account
from tests.support.server import RunningServer, running_server


@pytest.fixture
def server(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningServer]:
    """A server with a database and a store of its own."""
    url = fresh_database_url(engine, request, tmp_path)
    with running_server(tmp_path / "data", database_url=url) as server:
        yield server


async def export(settings: Settings, *words: str) -> None:
    """Run the command, as an operator does beside the server."""
    parser = argparse.ArgumentParser()
    exporting.add_parser(parser.add_subparsers())
    options = parser.parse_args(["export", *words])
    await asyncio.to_thread(exporting.run, settings, options)


def read(path: Path) -> Any:
    """Return what a file of JSON, or of JSON lines, has."""
    if path.suffix == ".json":
        return msgspec.json.decode(path.read_bytes())
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


async def send(server: RunningServer, sender: Account, **fields: Any) -> int:
    """Send a message; return its id."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        headers = {"Authorization": f"Bearer {sender.token}"}
        answer = await http.post("/api/messages/send", json=fields, headers=headers)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def upload(server: RunningServer, owner: Account, name: str, content: bytes) -> int:
    """Upload a file; return the attachment's id."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        headers = {"Authorization": f"Bearer {owner.token}"}
        answer = await http.post("/api/uploads", files={"file": (name, content)}, headers=headers)
    return int(answer.json()["id"])


async def a_chat(server: RunningServer) -> tuple[Account, Account, Account]:
    """Have Ann, Ben and Cat chat; Ann is the one who asks for her data."""
    ann, ben, cat = [await new_account(server, name) for name in ("Ann", "Ben", "Cat")]
    file = await upload(server, ann, "notes.txt", b"written by Ann" * 50)
    await upload(server, ben, "ben.txt", b"written by Ben" * 50)
    await send(server, ann, content="to Ben", toUserId=ben.id, attachmentId=file)
    edited = await send(server, ann, content="first text", toUserId=ben.id)
    await send(server, ben, content="to Ann", toUserId=ann.id)
    await send(server, ben, content="a secret of Ben and Cat", toUserId=cat.id)
    await send(server, cat, content="to everybody")
    await graphql(
        server,
        ann.token,
        f"""mutation {{
          editMessage(id: {edited}, content: "second text") {{ id }}
          addReaction(messageId: {edited}, emoji: "🎈") {{ id }}
          blockUser(id: {cat.id}) {{ id }}
          createGroup(title: "Sailing", memberIds: [{ben.id}]) {{ id }} }}""",
    )
    groups = await graphql(server, ann.token, "{ conversations { nodes { id title } } }")
    group = next(c["id"] for c in groups["conversations"]["nodes"] if c["title"] == "Sailing")
    for sender in (ann, ben):
        query = f'mutation {{ sendMessage(conversationId: {group}, content: "ahoy") {{ id }} }}'
        await graphql(server, sender.token, query)
    return ann, ben, cat


async def test_a_user_gets_their_own_data_and_no_other_s(
    server: RunningServer, tmp_path: Path
) -> None:
    ann, ben, cat = await a_chat(server)
    folder = tmp_path / "ann"
    await export(server.settings, "--user", f" {ann.email.upper()} ", "--to", str(folder))

    profile = read(folder / "profile.json")
    assert (profile["id"], profile["email"], profile["display_name"]) == (ann.id, ann.email, "Ann")
    messages = read(folder / "messages.jsonl")
    # Cat's words to everybody are hidden from whoever has blocked Cat.
    assert [(m["sender"]["name"], m["content"]) for m in messages] == [
        ("Ann", "to Ben"),
        ("Ann", "second text"),
        ("Ben", "to Ann"),
        ("Ann", "ahoy"),
        ("Ben", "ahoy"),
    ]
    assert [edit["content"] for edit in messages[1]["earlier_texts"]] == ["first text"]
    assert messages[0]["attachment"]["filename"] == "notes.txt"
    listed = read(folder / "conversations.jsonl")
    assert {(c["kind"], c["title"], tuple(p["name"] for p in c["with"])) for c in listed} == {
        ("DIRECT", None, ("Ben",)),
        ("GROUP", "Sailing", ()),
    }
    assert [reaction["emoji"] for reaction in read(folder / "reactions.jsonl")] == ["🎈"]
    assert [block["blocked"]["name"] for block in read(folder / "blocks.json")] == ["Cat"]
    [file] = read(folder / "files.json")
    assert (folder / file["file"]).read_bytes() == b"written by Ann" * 50
    assert read(folder / "sessions.json")["sessions"]

    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    hidden = [ben.email, cat.email, "a secret of Ben", "written by Ben", ann.token, "$2b$"]
    assert [word for word in hidden if word.encode() in everything] == []
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {p.stat().st_mode & 0o777 for p in (folder, folder / "files")} == {0o700}


async def test_everything_is_every_row_and_file(server: RunningServer, tmp_path: Path) -> None:
    await a_chat(server)
    folder = tmp_path / "all"
    await export(server.settings, "--all", "--to", str(folder))
    described = read(folder / "export.json")
    assert (described["format"], described["version"]) == ("parley-export", 1)
    assert described["tables"].keys() == SQLModel.metadata.tables.keys()
    database = open_database(server.settings.database)
    async with database.read() as connection:
        for table in SQLModel.metadata.tables:
            rows = await connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}")
            assert len(read(folder / "tables" / f"{table}.jsonl")) == rows.scalar(), table
    await database.close()
    assert {m["content"] for m in read(folder / "tables" / "messages.jsonl")} >= {"to Ann", "ahoy"}
    files = [path for path in (folder / "files").rglob("*") if path.is_file()]
    assert len(files) == described["files"] == 2
    modes = {path.stat().st_mode & 0o077 for path in [folder, *folder.rglob("*")]}
    assert modes == {0}


async def test_everything_is_of_one_moment(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent while the tables are read is in none of them, and the server goes on."""
    ann, ben = await new_account(server, "Ann"), await new_account(server, "Ben")
    await send(server, ann, content="before", toUserId=ben.id)
    write_lines, loop = Folder.write_lines, asyncio.get_running_loop()

    async def slowly(self: Folder, name: str, values: Any) -> int:
        if name.startswith("tables/message"):
            sending = send(server, ann, content=f"during {name}", toUserId=ben.id)
            await asyncio.to_thread(asyncio.run_coroutine_threadsafe(sending, loop).result, 20)
        return await write_lines(self, name, values)

    monkeypatch.setattr(Folder, "write_lines", slowly)
    await export(server.settings, "--all", "--to", str(tmp_path / "all"))
    messages = read(tmp_path / "all" / "tables" / "messages.jsonl")
    assert [m["content"] for m in messages] == ["before"]
    assert read(tmp_path / "all" / "export.json")["position"] == messages[-1]["id"]


async def test_a_directory_with_something_in_it_is_refused(
    server: RunningServer, tmp_path: Path
) -> None:
    with pytest.raises(FolderUnusable, match="is not empty"):
        await export(server.settings, "--all", "--to", str(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match="is no directory"):
        await export(server.settings, "--all", "--to", str(tmp_path / "file"))
    with pytest.raises(SystemExit, match=r"no account with the e-mail x@example\.com"):
        await export(server.settings, "--user", "x@example.com", "--to", str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()


async def test_memory_stays_flat(server: RunningServer, tmp_path: Path) -> None:
    ann = await new_account(server, "Ann")
    await fill(server.settings, ann.id, 10_000)
    tracemalloc.start()
    try:
        await export(server.settings, "--all", "--to", str(tmp_path / "all"))
        await export(server.settings, "--user", ann.email, "--to", str(tmp_path / "ann"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    written = (tmp_path / "ann" / "messages.jsonl").stat().st_size
    assert written > 10_000_000
    assert peak < 5_000_000


async def fill(settings: Settings, sender_id: int, messages: int) -> None:
    """Store messages of 1,000 characters to oneself, past the log."""
    database: Database = open_database(settings.database)
    async with database.write() as connection:
        await connection.exec_driver_sql("DELETE FROM messages")
        for start in range(1, messages, 1000):
            values = ",".join(
                f"({id_}, {sender_id}, {sender_id}, 'TEXT', '{'x' * 1000}', '2026-01-01', 9)"
                for id_ in range(start, start + 1000)
            )
            await connection.exec_driver_sql(
                "INSERT INTO messages (id, sender_id, receiver_id, kind, content, created_at,"
                f" conversation_id) VALUES {values}"
            )
        await connection.exec_driver_sql(f"UPDATE log_head SET position = {messages}")
    await database.close()
