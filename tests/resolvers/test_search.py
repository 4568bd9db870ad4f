"""Searching: what one may see, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from db.models import EVERYBODY_ID, MessageKind
from db.search import search as search_part
from db.search.search import Found, SearchUnavailable
from resolvers import messages
from resolvers.context import Context
from resolvers.errors import (
    BadInput,
    Forbidden,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from resolvers.of_messages.edits import delete_message, edit_message
from resolvers.of_messages.search import Cursor, SearchOrder, Wanted, search_messages
from resolvers.people import blocks
from tests.conftest import fresh_database_url
from tests.resolvers.conftest import join, running_context
from tests.resolvers.searching import finds, ids_of, indexed, look, send
from tests.resolvers.test_attachments import upload
from tests.support.redis import redis_server


@pytest.fixture(scope="module")
async def searcher(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Context]:
    """Somebody whose one message is found, on each engine: for searches that find nothing."""
    directory = tmp_path_factory.mktemp("search")
    url = fresh_database_url(engine, request, directory)
    async with running_context(directory, database_url=url, search="on") as ctx:
        alice = await join(ctx)
        await indexed(alice, await send(alice, "something", alice))
        yield alice


async def test_a_message_is_found_by_its_people_within_a_second(ctx: Context) -> None:
    alice, bob, stranger = await join(ctx), await join(ctx), await join(ctx)
    await finds(alice, "warmed up")
    sent = await send(alice, "The Ünited station", bob)
    began = asyncio.get_running_loop().time()
    page = await finds(bob, "united", sent)
    assert asyncio.get_running_loop().time() - began < 5  # a second, on a machine at rest
    assert page.is_complete
    [hit] = page.hits
    assert hit.message == sent
    assert [*hit.excerpt] == [("The ", False), ("Ünited", True), (" station", False)]
    assert ids_of(await look(alice, "united")) == [sent.id]
    assert ids_of(await look(stranger, "united")) == []


async def test_a_stranger_is_refused_before_anything_else(ctx: Context) -> None:
    with pytest.raises(Unauthenticated):
        await look(ctx, "", first=-1)


@pytest.mark.parametrize(
    ("query", "more"),
    [
        ("", {}),
        (" \n ", {}),
        ("x" * 257, {}),
        ("word " * 10_000, {}),
        (" ".join(f"w{n}" for n in range(33)), {}),
        ("a\0b", {}),
        ("\ud800", {}),
        ("word", {"first": -1}),
        ("word", {"first": 101}),
        ("word", {"conversation_id": 1, "with_id": 1}),
        ("word", {"after": Cursor(SearchOrder.RELEVANCE, False, 1, 1)}),
    ],
)
async def test_bad_input(searcher: Context, query: str, more: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        await look(searcher, query, **more)


@pytest.mark.parametrize(
    "query",
    [
        *("!!!", '""', "“”", "...", "\u200b", "\u202e", "\x07", "+-&&||!(){}[]^~*?:\\/", "\u0301"),
        *("AND", "OR NOT", "id:1", "filters:state", "state", "s1", "p1", "[* TO *]", "/.*/", "*"),
        *("x" * 256, "北" * 256, "é" * 256, "👍" * 256, '"' * 255, "a.b" * 85),
    ],
)
async def test_what_nobody_wrote_finds_nothing(searcher: Context, query: str) -> None:
    for order in SearchOrder:
        page = await look(searcher, query, order=order)
        assert (ids_of(page), page.has_more) == ([], False)


async def test_who_sees_a_broadcast_finds_it(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await send(alice, "news for everybody")
    carol = await join(ctx)
    await finds(bob, "news", sent)
    assert ids_of(await look(carol, "news")) == [], "it is older than her account"
    await blocks.block_user(bob, alice.user.id)
    assert ids_of(await look(bob, "news")) == []
    assert ids_of(await look(alice, "news")) == [sent.id]
    await blocks.unblock_user(bob, alice.user.id)
    assert ids_of(await look(bob, "news")) == [sent.id]


async def test_the_database_has_the_last_word(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the index proposes is shown only as far as it may be seen and answers."""
    alice, bob, stranger = await join(ctx), await join(ctx), await join(ctx)
    theirs = await send(alice, "plan", bob)
    mine = await send(stranger, "plan", stranger)
    other = await send(stranger, "nothing", stranger)

    async def all_ids(*_: object, before: int | None, limit: int) -> Found:
        ids = [other.id, mine.id, theirs.id]
        return Found([id_ for id_ in ids if before is None or id_ < before][:limit], True)

    monkeypatch.setattr(search_part.MessageSearch, "find", all_ids)
    assert ids_of(await look(stranger, "plan")) == [mine.id]


async def test_edited_and_deleted_text_is_found_no_more(ctx: Context) -> None:
    """At once, whatever the index has; the new text is found as soon as a new message."""
    alice, bob = await join(ctx), await join(ctx)
    edited, deleted = await send(alice, "first words", bob), await send(alice, "first draft", bob)
    broadcast = await send(alice, "first for all")
    await finds(bob, "first", edited, deleted, broadcast)
    await edit_message(alice, message_id=edited.id, content="other words")
    await delete_message(alice, message_id=deleted.id)
    await delete_message(alice, message_id=broadcast.id)
    assert ids_of(await look(bob, "first")) == []
    page = await finds(bob, "other words", edited)
    assert page.hits[0].message.content == "other words"
    assert ids_of(await look(alice, "draft")) == []


async def test_a_deleted_file_is_found_no_more(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    attachment = await upload(alice, b"text", "Quarterly-Report.txt")
    sent = await messages.send_message(
        alice, receiver_id=bob.user.id, content="", attachment_id=attachment.id
    )
    await finds(bob, "report", sent)
    await delete_message(alice, message_id=sent.id)
    assert ids_of(await look(bob, "report")) == []


async def test_filters(ctx: Context) -> None:
    alice, bob, carol = await join(ctx), await join(ctx), await join(ctx)
    to_bob = await send(alice, "plan one", bob)
    from_bob = await send(bob, "plan two", alice)
    to_carol = await send(alice, "plan three", carol)
    to_all = await send(alice, "plan for all")
    to_self = await send(alice, "plan of mine", alice)
    await finds(alice, "plan", to_bob, from_bob, to_carol, to_all, to_self)

    async def found(**wanted: Any) -> list[int]:
        return ids_of(await look(alice, "plan", **wanted))

    assert await found(with_id=bob.user.id) == [from_bob.id, to_bob.id]
    assert await found(with_id=alice.user.id) == [to_self.id]
    assert await found(conversation_id=to_carol.conversation_id) == [to_carol.id]
    assert await found(conversation_id=EVERYBODY_ID) == [to_all.id]
    assert await found(sender_id=bob.user.id) == [from_bob.id]
    assert await found(sender_id=alice.user.id, with_id=bob.user.id) == [to_bob.id]
    assert await found(kind=MessageKind.TEXT, sender_id=bob.user.id) == [from_bob.id]
    assert await found(kind=MessageKind.VOICE) == []
    assert await found(since=to_all.created_at) == [to_self.id, to_all.id]
    assert await found(until=from_bob.created_at) == [to_bob.id]
    assert await found(since=from_bob.created_at, until=to_carol.created_at) == [from_bob.id]
    assert await found(since=to_all.created_at, until=to_all.created_at) == []
    without_zone = to_all.created_at.replace(tzinfo=None)
    assert await found(since=without_zone) == [to_self.id, to_all.id]
    for moment in (datetime.min, datetime.max):  # whatever a client sends
        assert await found(since=moment.replace(tzinfo=UTC), until=moment.replace(tzinfo=UTC)) == []
    long_ago = datetime(1, 1, 2, tzinfo=UTC)
    late = datetime(9999, 12, 30, tzinfo=UTC) + timedelta(hours=1)
    assert len(await found(since=long_ago, until=late)) == 5


async def test_anothers_conversation_is_as_missing(ctx: Context) -> None:
    alice, bob, stranger = await join(ctx), await join(ctx), await join(ctx)
    sent = await send(alice, "plan", bob)
    answers = set()
    for id_ in (sent.conversation_id, 10**12):
        with pytest.raises(NotFound) as refused:
            await look(stranger, "plan", conversation_id=id_)
        answers.add(refused.value.message)
    assert answers == {"Conversation not found"}
    for name in ("with_id", "sender_id"):
        nobody = Wanted(**{"query": "plan", name: 10**12})  # type: ignore[arg-type]  # as it is named
        somebody = Wanted(**{"query": "plan", name: alice.user.id})  # type: ignore[arg-type]
        with pytest.raises(NotFound, match="User not found"):
            await search_messages(stranger, nobody, first=20)
        assert ids_of(await search_messages(stranger, somebody, first=20)) == []


async def test_typos_are_found_only_where_nothing_else_is(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    wrong = [await send(alice, f"you will recieve it {n}", bob) for n in range(3)]
    await finds(alice, "receive", *wrong)
    page = await look(alice, "receive", first=2)
    assert [piece.text for piece in page.hits[0].excerpt if piece.is_hit] == ["recieve"]
    assert ids_of(await look(alice, "receive", first=2, after=page.end)) == [wrong[0].id]
    assert ids_of(await look(alice, '"receive"')) == []
    right = await send(alice, "did you receive it", bob)
    await finds(alice, "receive", right)


async def test_a_file_is_found_by_its_name(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    attachment = await upload(alice, b"text", "Quarterly-Report.txt")
    sent = await messages.send_message(
        alice, receiver_id=bob.user.id, content="", attachment_id=attachment.id
    )
    page = await finds(bob, "quarterly report", sent)
    assert [piece.text for piece in page.hits[0].excerpt if piece.is_hit] == ["Quarterly", "Report"]


async def test_searches_are_counted(tmp_path: Path) -> None:
    async with running_context(tmp_path, limits=True, search="on") as ctx:
        alice = await join(ctx)
        for _ in range(ctx.settings.searches_per_user.amount):
            await look(alice, "word")
        with pytest.raises(RateLimited):
            await look(alice, "word")


async def test_search_can_be_off(tmp_path: Path) -> None:
    async with running_context(tmp_path, search="off") as ctx:
        with pytest.raises(Forbidden):
            await look(await join(ctx), "word")
    assert not (tmp_path / "search").exists()


async def test_an_index_that_cannot_be_read_is_said_to_be(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> Found:
        raise SearchUnavailable

    monkeypatch.setattr(search_part.MessageSearch, "find", fail)
    with pytest.raises(Unavailable):
        await look(await join(ctx), "word")


async def test_a_directory_that_cannot_be_used_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "search").write_text("a file is in the way")
    async with running_context(tmp_path, search="on") as ctx:
        alice = await join(ctx)
        await send(alice, "stored all the same", alice)
        assert not (await look(alice, "stored")).is_complete


async def test_several_processes_find_the_same(database_url: str, tmp_path: Path) -> None:
    with redis_server() as redis:
        shared = {"database_url": database_url, "search": "on", "redis_url": redis.url}
        async with (
            running_context(tmp_path, **shared) as one,
            running_context(tmp_path, **shared) as same_machine,
            running_context(tmp_path / "other", **shared) as other_machine,
        ):
            alice = await join(one)
            alices = [replace(ctx, viewer=alice.user) for ctx in (one, same_machine, other_machine)]
            sent = [await send(ctx, "by any of them", alice) for ctx in alices]
            for ctx in alices:
                await finds(ctx, "any", *sent)
