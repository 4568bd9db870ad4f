"""Who has left a group sees its messages as they were: from memory, in search, in every process."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import func, select

from commands.exports.folder import Folder
from commands.exports.person import export_person
from db.files import FileStore
from db.models import LeftMessage, MessageKind, StoredMessage
from events.facts import Fact
from resolvers import events, messages
from resolvers.context import Context
from resolvers.conversations import groups
from resolvers.of_messages.edits import delete_message, edit_message
from resolvers.of_messages.reactions import change_reaction
from resolvers.people import accounts
from tests.faults.waits import until
from tests.resolvers.conftest import join
from tests.resolvers.searching import finds, ids_of, indexed, look
from tests.resolvers.test_exact_authority import _go_on, _hold_up, _two
from tests.resolvers.test_search_groups import begin, say


async def edit(ctx: Context, message: StoredMessage, content: str) -> StoredMessage:
    return await edit_message(ctx, message_id=message.id, content=content)


async def react(ctx: Context, message: StoredMessage, emoji: str = "👍") -> StoredMessage:
    return await change_reaction(ctx, message_id=message.id, emoji=emoji, added=True)


async def _kept(ctx: Context) -> int:
    async with ctx.read() as connection:
        found = await connection.execute(select(func.count()).select_from(LeftMessage))
        return int(found.scalar_one())


async def _events(ctx: Context, after: str, end: str = "end") -> list[StoredMessage | Fact]:
    found = []
    watch = events.watch_events(ctx, after=after)
    async for event in watch:
        if isinstance(event, StoredMessage) and event.content == end:
            break
        found.append(event)
    await watch.aclose()
    return found


def _contents(entries: Sequence[StoredMessage | Fact]) -> list[Any]:
    """Return what messages say, also those that facts are about."""
    records: list[Any] = [e.record if isinstance(e, Fact) else e for e in entries]
    return [record.content for record in records if record is not None]


async def test_replays_show_what_was_there_from_memory_and_from_the_log(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    start = events.cursor_at(ctx, ctx.feed.position)
    group = await begin(alice, bob)
    said = await say(alice, group, "1")
    await edit(alice, said, "2")
    await react(bob, said)
    await groups.leave_group(bob, group)
    await edit(alice, said, "3")
    await react(alice, said, "🎉")
    await messages.send_message(alice, receiver_id=None, content="end")
    for memory in (True, False):
        if not memory:
            ctx.feed._remembered.go_back(0)
        assert _contents(await _events(bob, start)) == ["2", "2", "2"], memory
        assert _contents(await _events(alice, start)) == ["3"] * 5, memory
        for entry in await _events(bob, start):
            record: Any = entry.record if isinstance(entry, Fact) else entry
            if record is not None:
                assert [each.emoji for each in record.kept_reactions] == ["👍"]


async def test_search_finds_what_its_reader_sees(ctx: Context) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    group = await begin(alice, bob, carol)
    said = await say(alice, group, "the zebra and the horse")
    emoji = await say(alice, group, "🎉")
    await groups.leave_group(bob, group)
    await edit(alice, said, "the giraffe and the horse")
    await edit(alice, emoji, "party zebra")
    last = await say(alice, group, "indexed")
    await indexed(alice, last)
    for viewer, query, found in (
        (bob, "zebra", [said]),
        (bob, "giraffe", []),
        (bob, "horse", [said]),
        (bob, '"giraffe and the horse"', []),
        (bob, '"zebra and the horse"', [said]),
        (alice, "zebra", [emoji]),
        (carol, "giraffe", [said]),
        (carol, '"horse the"', []),
    ):
        assert ids_of(await look(viewer, query)) == [each.id for each in found], query
    [hit] = (await look(bob, "zebra", kind=MessageKind.TEXT)).hits
    assert hit.message.content == "the zebra and the horse"
    assert ids_of(await look(alice, "party", kind=MessageKind.TEXT)) == [emoji.id]
    await delete_message(alice, message_id=said.id)
    await finds(bob, "zebra")
    await finds(carol, "horse")


async def test_an_export_shows_what_the_user_sees(ctx: Context, tmp_path: Path) -> None:
    alice, bob = await join(ctx), await join(ctx)
    group = await begin(alice, bob)
    said = await say(alice, group, "then")
    await groups.leave_group(bob, group)
    await edit(alice, said, "now")
    await groups.update_group(alice, group, title="Now")
    async with ctx.read() as connection:
        row = await connection.exec_driver_sql(f"SELECT email FROM users WHERE id = {bob.user.id}")
        email = str(row.scalar_one())
    store = FileStore((tmp_path / "none").as_uri())
    folder = Folder(tmp_path / "export")
    assert await export_person(ctx.db, store, folder, email, shows_all_broadcasts=False)
    lines = (tmp_path / "export" / "messages.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line)["content"] for line in lines] == ["then"]
    [line] = (tmp_path / "export" / "conversations.jsonl").read_bytes().splitlines()
    assert msgspec.json.decode(line)["title"] == "Us"


async def test_little_is_kept(ctx: Context) -> None:
    alice, bob, carol = [await join(ctx) for _ in range(3)]
    group = await begin(alice, bob, carol)
    said, other = await say(alice, group, "1"), await say(alice, group, "1")
    for number in range(3):
        await edit(alice, said, f"2.{number}")
    assert await _kept(ctx) == 0
    await accounts.delete_own_account(carol, "123456")
    await edit(alice, said, "3")
    assert await _kept(ctx) == 0  # nobody looks by that account
    await groups.leave_group(bob, group)
    later = await say(alice, group, "1")
    for number in range(3):
        await asyncio.gather(edit(alice, said, f"4.{number}"), react(alice, said, "🎉"))
    await react(alice, later)
    await edit(alice, later, "4")
    assert await _kept(ctx) == 1
    await asyncio.gather(react(alice, other), react(alice, other, "🎉"), react(alice, said, "👍"))
    assert await _kept(ctx) == 2
    await delete_message(alice, message_id=said.id)
    async with ctx.read() as connection:
        rows = await connection.execute(select(LeftMessage.__table__.c.content))  # type: ignore[attr-defined]  # SQLModel hides it
        assert sorted(rows.scalars()) == ["", "1"]


async def test_a_process_that_is_behind_shows_nothing_newer(
    database_url: str, tmp_path: Path
) -> None:
    async with _two(database_url, tmp_path) as (there, here):
        alice, bob, carol = await join(there), await join(here), await join(here)
        group = await begin(alice, bob, carol)
        await until(lambda: here.feed.position >= there.feed.position, 10)
        heard: dict[int, list[Any]] = {}

        async def listen(person: Context) -> None:
            heard[person.user.id] = []
            async for event in events.watch_events(person):
                heard[person.user.id].append(event)

        tasks = [asyncio.create_task(listen(person)) for person in (bob, carol)]
        await until(lambda: all(here.hub.sinks_at(p.user.id) for p in (bob, carol)), 10)
        await _hold_up(here)
        said = await say(alice, group, "1")
        await edit(alice, said, "2")
        await groups.remove_member(alice, group, bob.user.id)
        await edit(alice, said, "3")
        await react(alice, said)
        for person in (bob, here.as_viewer(bob.user), there.as_viewer(bob.user)):
            shown = await messages.get_message(person, said.id)
            assert (shown.content, shown.kept_reactions) == ("2", ())
        assert (await messages.get_message(carol, said.id)).content == "3"
        end = await messages.send_message(
            there.as_viewer(bob.user), receiver_id=None, content="end"
        )
        _go_on(here)
        await until(lambda: all(e and e[-1].id == end.id for e in heard.values()), 10)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert _contents(heard[bob.user.id]) == ["2", "2", "end"]
        assert _contents(heard[carol.user.id]) == ["2", "2", "3", "3", "end"]
