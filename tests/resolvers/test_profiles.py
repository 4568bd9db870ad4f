"""Profiles: what one changes is kept, seen by others, counted, and swept when it is replaced."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from db import storage
from db.models import EVERYBODY_ID, MessageKind, StoredMessage
from events.facts import Fact, Members, UserChanged
from resolvers import messages
from resolvers.attachments import avatars
from resolvers.attachments.avatars import open_avatar, read_avatar, sweep_avatars
from resolvers.attachments.sweep import sweep_uploads
from resolvers.context import Context
from resolvers.errors import (
    BadInput,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from resolvers.events import Event, cursor_at, watch_events
from resolvers.people import accounts, blocks, users
from resolvers.people.users import update_profile
from tests.faults.waits import until
from tests.resolvers.conftest import join, running_context
from tests.resolvers.test_attachments import in_days, upload
from tests.support import files
from tests.support.inbox import Inbox


def facts_of(ctx: Context) -> list[Fact]:
    """What every process is told from now on."""
    told: list[Fact] = []
    ctx.control.listen_in_order(UserChanged, lambda fact, body: told.append(fact))
    return told


async def uploaded(ctx: Context, width: int = 640, height: int = 480) -> int:
    """Upload a picture; return the attachment's id."""
    return (await upload(ctx, files.image_file("PNG", width, height), "me.png")).id


async def picture(ctx: Context, key: str | None, side: int = 256) -> bytes:
    """Return what the address of a picture gives."""
    found = await open_avatar(ctx, key or "", str(side))
    content = b"".join([chunk async for chunk in read_avatar(ctx, found)])
    assert len(content) == found.size
    return content


def kept(ctx: Context) -> set[str]:
    """The names of the pictures in the store."""
    directory = Path(ctx.settings.data_dir) / "files"
    return {path.name for path in directory.rglob("*-256.webp")} | {
        path.name for path in directory.rglob("*-64.webp")
    }


async def taken(ctx: Context) -> int:
    """What the viewer's files take of their quota."""
    async with ctx.read() as connection:
        return await storage.stored_bytes(connection, ctx.user.id)


@pytest.fixture
async def alice(ctx: Context) -> Context:
    """Somebody who has just registered."""
    return await join(ctx, "Alice")


async def test_a_new_name_and_status_are_seen_and_found_by_others(alice: Context) -> None:
    bob, told = await join(alice), facts_of(alice)
    changed = await update_profile(alice, display_name="  Ünal  Şahin ", status_text=" At sea ")
    assert (changed.display_name, changed.status_text) == ("Ünal Şahin", "At sea")
    found = (await users.get_users(bob, [alice.user.id]))[alice.user.id]
    assert found == changed
    page, _ = await users.list_users(bob, search="ünal ş", first=10, after=0)
    assert alice.user.id in [user.id for user in page]
    assert (await users.list_users(bob, search="alice", first=10, after=0))[0] == []
    [fact] = told
    assert (fact.actor_id, fact.audience) == (alice.user.id, Members(EVERYBODY_ID))


async def test_only_what_is_given_changes_and_nothing_is_no_fact(alice: Context) -> None:
    await update_profile(alice, status_text="x")
    told = facts_of(alice)
    assert (await update_profile(alice)).status_text == "x"
    assert (await update_profile(alice, display_name="Alice", status_text="x")).status_text == "x"
    assert told == []
    assert (await update_profile(alice, display_name="Other")).status_text == "x"
    assert (await update_profile(alice, status_text="")).status_text == ""
    assert len(told) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"display_name": ""},
        {"display_name": "x" * 101},
        {"display_name": "Deleted user"},
        {"display_name": "a\0b"},
        {"status_text": "x" * 141},
        {"status_text": "x" * 100_000},
        {"status_text": "a\0b"},
        {"status_text": "\ud800"},
        {"status_text": "a\x07b"},
        {"status_text": "e" + "\u0301" * 100},
        {"avatar_id": 1, "removes_avatar": True},
    ],
    ids=lambda wrong: ascii(wrong)[:40],
)
async def test_what_cannot_be_a_profile_is_refused(alice: Context, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        await update_profile(alice, **wrong)
    assert (await users.get_me(alice)).display_name == "Alice"


@pytest.mark.parametrize("text", ["  ", "\u200b", "\n"])
async def test_a_status_with_nothing_to_see_is_none(alice: Context, text: str) -> None:
    assert (await update_profile(alice, status_text=text)).status_text == ""


async def test_a_picture_is_shown_in_two_sizes_and_counts(alice: Context) -> None:
    told, id_ = facts_of(alice), await uploaded(alice)
    before = await taken(alice)
    changed = await update_profile(alice, avatar_id=id_)
    assert len(told) == 1
    assert changed.avatar_key is not None
    total = 0
    for side in (256, 64):
        content = await picture(alice, changed.avatar_key, side)
        image = Image.open(io.BytesIO(content))
        assert (image.format, image.size) == ("WEBP", (side, side))
        total += len(content)
    assert await taken(alice) == before + total


async def test_a_used_picture_outlives_its_upload_and_every_sweep(alice: Context) -> None:
    key = (await update_profile(alice, avatar_id=await uploaded(alice))).avatar_key
    await sweep_uploads(alice, now=in_days(400))
    await sweep_avatars(alice, now=in_days(400))
    assert await picture(alice, key)
    size = sum([len(await picture(alice, key, side)) for side in (256, 64)])
    assert await taken(alice) == size


async def test_a_replaced_picture_is_gone_at_once(alice: Context) -> None:
    old = (await update_profile(alice, avatar_id=await uploaded(alice))).avatar_key
    new = (await update_profile(alice, avatar_id=await uploaded(alice, 300, 200))).avatar_key
    assert old != new
    assert kept(alice) == {f"{new}-256.webp", f"{new}-64.webp"}
    with pytest.raises(NotFound):
        await picture(alice, old)
    assert (await update_profile(alice, removes_avatar=True)).avatar_key is None
    assert kept(alice) == set()
    await sweep_uploads(alice, now=in_days(2))
    assert await taken(alice) == 0
    assert (await update_profile(alice, removes_avatar=True)).avatar_key is None


async def test_only_ones_own_image_can_be_the_picture(alice: Context) -> None:
    bob = await join(alice)
    theirs = await upload(bob, files.image_file("PNG"), "x.png")
    await messages.send_message(bob, receiver_id=alice.user.id, content="", attachment_id=theirs.id)
    refusals = set()
    for id_ in (theirs.id, (await upload(bob)).id, 2**40):
        with pytest.raises(NotFound) as refused:
            await update_profile(alice, avatar_id=id_, display_name="Other")
        refusals.add(refused.value.message)
    assert refusals == {"Attachment not found"}
    for kind in (None, MessageKind.FILE):
        content = b"text" if kind is None else files.image_file("PNG")
        with pytest.raises(BadInput, match="no image"):
            await update_profile(alice, avatar_id=(await upload(alice, content, kind=kind)).id)
    assert (await users.get_me(alice)).display_name == "Alice"


async def test_a_sent_image_can_be_the_picture_too(alice: Context) -> None:
    id_ = await uploaded(alice)
    await messages.send_message(alice, receiver_id=alice.user.id, content="", attachment_id=id_)
    assert await picture(alice, (await update_profile(alice, avatar_id=id_)).avatar_key)


async def test_a_picture_that_fails_leaves_nothing(
    alice: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await uploaded(alice)
    before = await taken(alice)

    async def fail(*_: object) -> None:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(users, "commit", fail)
        with pytest.raises(Unavailable):
            await update_profile(alice, avatar_id=id_)
    assert kept(alice) == set()
    assert await taken(alice) == before
    assert (await update_profile(alice, avatar_id=id_)).avatar_key


async def test_what_a_killed_update_left_is_swept_and_given_back(
    alice: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await uploaded(alice)
    before = await taken(alice)

    async def killed(*_: object, **__: object) -> None:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(users, "commit", killed)
        patch.setattr(avatars, "remove_unused", killed)
        with pytest.raises(Unavailable):
            await update_profile(alice, avatar_id=id_)
    assert len(kept(alice)) == 2
    await sweep_avatars(alice, now=in_days(0.5))
    assert len(kept(alice)) == 2, "the update may be under way"
    await sweep_avatars(alice, now=in_days(2))
    assert kept(alice) == set()
    assert await taken(alice) == before


async def test_a_full_quota_refuses_a_picture(tmp_path: Path) -> None:
    async with running_context(tmp_path, storage_per_user=0) as ctx:
        alice = await join(ctx)
        id_ = await uploaded(alice)
        size = await taken(alice)
    async with running_context(tmp_path, storage_per_user=size + 10) as ctx:
        alice = ctx.as_viewer(alice.user)
        with pytest.raises(PayloadTooLarge):
            await update_profile(alice, avatar_id=id_)
        assert await taken(alice) == size
        assert kept(alice) == set()


async def test_changes_at_once_leave_one_picture(alice: Context) -> None:
    ids = [await uploaded(alice, 100 + number, 100) for number in range(4)]
    await asyncio.gather(*(update_profile(alice, avatar_id=id_) for id_ in ids))
    key = (await users.get_me(alice)).avatar_key
    await avatars.remove_unused(alice, owner_id=alice.user.id)
    assert kept(alice) == {f"{key}-256.webp", f"{key}-64.webp"}
    assert await picture(alice, key)
    await sweep_uploads(alice, now=in_days(2))
    size = sum([len(await picture(alice, key, side)) for side in (256, 64)])
    assert await taken(alice) == size


async def test_a_deleted_account_has_no_picture_and_no_status(alice: Context) -> None:
    bob = await join(alice)
    changed = await update_profile(alice, status_text="x", avatar_id=await uploaded(alice))
    await accounts.delete_own_account(alice, "123456")
    assert kept(alice) == set()
    with pytest.raises(NotFound):
        await picture(bob, changed.avatar_key)
    gone = (await users.get_users(bob, [alice.user.id]))[alice.user.id]
    assert (gone.status_text, gone.avatar_key) == ("", None)
    with pytest.raises(Unauthenticated):
        await update_profile(alice, display_name="Again")


@pytest.mark.parametrize("key", ["", "0" * 32, "../" * 10 + "ab", "é" * 32, "0" * 31 + "%"])
async def test_a_key_that_nobody_has_opens_nothing(alice: Context, key: str) -> None:
    for side in ("256", "64", "65", "", "²"):
        with pytest.raises(NotFound):
            await open_avatar(alice, key, side)


@asynccontextmanager
async def hearing(ctx: Context) -> AsyncIterator[Inbox[Event]]:
    """The viewer's events from now on."""
    inbox: Inbox[Event] = Inbox()

    async def hear() -> None:
        async for event in watch_events(ctx):
            inbox.put(event)

    task = asyncio.create_task(hear())
    table = ctx.hub._table
    await until(lambda: any(c.fact_sinks for c in table.get(ctx.user.id, ())), 10)
    try:
        yield inbox
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def profiles_in(ctx: Context, after: int, inbox: Inbox[Event]) -> list[int]:
    """Whose changes the viewer has heard live, once a replay gives the same."""
    await messages.send_message(ctx, receiver_id=ctx.user.id, content="the end")
    replayed: list[Event] = []
    async with aclosing(watch_events(ctx, after=cursor_at(ctx, after))) as stream:
        async for event in stream:
            replayed.append(event)  # until it breaks
            if isinstance(event, StoredMessage) and event.content == "the end":
                break
    await inbox.expect(lambda event: event == replayed[-1])
    heard = [
        [fact.actor_id or 0 for fact in events if isinstance(fact, Fact) and fact.is_shown]
        for events in (inbox.items, replayed)
    ]
    assert heard[0] == heard[1]
    return heard[0]


@pytest.mark.parametrize("remembered", [True, False], ids=["memory", "log"])
@pytest.mark.parametrize("directory", ["everyone", "contacts", "off"])
async def test_who_may_find_them_hears_of_a_change_live_and_in_a_replay(
    tmp_path: Path, directory: str, remembered: bool
) -> None:
    async with running_context(tmp_path, directory=directory) as ctx:
        alice, friend, stranger, kept_away = [await join(ctx) for _ in range(4)]
        for other in (friend, kept_away):
            await messages.send_message(other, receiver_id=alice.user.id, content="x")
        await blocks.block_user(alice, kept_away.user.id)
        after, everybody = ctx.feed.position, (alice, friend, stranger, kept_away)
        async with AsyncExitStack() as stack:
            inboxes = [await stack.enter_async_context(hearing(viewer)) for viewer in everybody]
            await update_profile(alice, display_name="Other")
            await accounts.delete_own_account(friend, "123456")
            if not remembered:
                ctx.feed._remembered.go_back(-1)
            heard = {
                viewer.user.id: await profiles_in(viewer, after, inbox)
                for viewer, inbox in zip(everybody, inboxes, strict=True)
                if viewer is not friend
            }
        both = [alice.user.id, friend.user.id]
        assert heard == {
            alice.user.id: both if directory != "off" else [alice.user.id],
            stranger.user.id: both if directory == "everyone" else [],
            kept_away.user.id: {"everyone": both, "contacts": both[:1], "off": []}[directory],
        }


async def test_its_rate_is_limited(tmp_path: Path) -> None:
    async with running_context(tmp_path, limits=True, profile_changes_per_user="2/hour") as ctx:
        alice = await join(ctx)
        for name in ("One", "Two"):
            await update_profile(alice, display_name=name)
        with pytest.raises(RateLimited, match="Too many changes of the profile"):
            await update_profile(alice, display_name="Three")
