"""Uploading, opening and sweeping: what is kept can be opened, and nothing else lasts."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from io import BufferedRandom
from typing import Any

import pytest
from msgspec.structs import replace
from PIL import Image
from sqlalchemy import select
from sqlmodel import col

from db import attachments as queries
from db.engines.database import Deadlocked
from db.files import FileStore, StoreUnavailable
from db.models import Attachment, File, MessageKind, StoredAttachment
from resolvers import messages
from resolvers.attachments import uploads
from resolvers.attachments.files import get_attachment, open_attachment, read_file
from resolvers.attachments.forms import ReceivedFile
from resolvers.attachments.sweep import sweep_uploads, thumbnail_name
from resolvers.attachments.uploads import upload_attachment
from resolvers.context import Context
from resolvers.errors import (
    BadInput,
    NotFound,
    PayloadTooLarge,
    Unauthenticated,
    Unavailable,
)
from resolvers.guards.file_urls import Part
from tests.resolvers.conftest import join
from tests.support import files

TEXT = b"plain words, which nobody takes for anything else"


async def upload(
    ctx: Context, content: bytes = TEXT, name: str = "a.txt", kind: MessageKind | None = None
) -> StoredAttachment:
    """Upload these bytes."""
    with tempfile.TemporaryFile() as file:
        assert isinstance(file, BufferedRandom)
        file.write(content)
        file.flush()
        received = ReceivedFile(name, file, len(content))
        return await upload_attachment(ctx, received, kind=kind)


def in_days(days: float) -> datetime:
    """Return the time then."""
    return datetime.now(UTC) + timedelta(days=days)


async def read(ctx: Context, id_: int, *, thumbnail: bool = False) -> bytes:
    """Return what is served of an attachment."""
    opened = await open_attachment(ctx, Part(id_, thumbnail), signed=False)
    return b"".join([part async for part in read_file(ctx, opened, 0, opened.size)])


def kept_files(ctx: Context) -> set[str]:
    """Return the names of what the store has."""
    root = ctx.settings.data_dir / "files"
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


async def expect_nothing_dangling(ctx: Context) -> set[str]:
    """Assert that each attachment's content is in the store; return the names there must be."""
    async with ctx.read() as connection:
        rows = await connection.execute(
            select(col(File.name), col(File.sha256), col(File.thumbnail_size)).join(
                Attachment, col(File.id) == col(Attachment.file_id)
            )
        )
        needed: set[str] = set()
        for name, sha256, thumbnail in rows:
            assert sha256 is not None
            needed |= {name} | ({thumbnail_name(name)} if thumbnail else set())
    assert needed <= kept_files(ctx)
    return needed


async def rows_of_files(ctx: Context) -> int:
    """Return how many files the database knows of."""
    async with ctx.read() as connection:
        return len([*await connection.execute(select(col(File.id)))])


@pytest.mark.parametrize(
    ("make", "name", "kind", "media_type", "kept_as"),
    [
        (lambda: files.photo("JPEG"), "a.jpg", MessageKind.IMAGE, "image/jpeg", "a.jpg"),
        (lambda: files.image_file("HEIF"), "I.HEIC", MessageKind.IMAGE, "image/jpeg", "I.jpg"),
        (files.live_voice, "note.webm", MessageKind.VOICE, "audio/webm", "note.webm"),
        (lambda: TEXT, "../a.txt", MessageKind.FILE, "application/octet-stream", "a.txt"),
        (lambda: files.SVG, "a.png", MessageKind.FILE, "application/octet-stream", "a.png"),
        (lambda: files.HTML, "a.png", MessageKind.FILE, "application/octet-stream", "a.png"),
    ],
)
async def test_what_is_uploaded_can_be_opened(
    ctx: Context,
    make: Callable[[], bytes],
    name: str,
    kind: MessageKind,
    media_type: str,
    kept_as: str,
) -> None:
    alice = await join(ctx)
    content = make()
    found = await upload(alice, content, name)
    assert (found.kind, found.media_type, found.filename) == (kind, media_type, kept_as)
    assert found.owner_id == alice.user.id
    kept = await read(alice, found.id)
    assert (len(kept), hashlib.sha256(kept).hexdigest()) == (found.size, found.sha256)
    if kind is MessageKind.IMAGE:
        assert found.thumbnail_size == len(await read(alice, found.id, thumbnail=True))
        assert files.CAMERA.encode() not in kept
    else:
        assert kept == content
        with pytest.raises(NotFound):
            await read(alice, found.id, thumbnail=True)
    await expect_nothing_dangling(ctx)


async def test_a_stranger_uploads_and_opens_nothing(ctx: Context) -> None:
    with pytest.raises(Unauthenticated):
        await upload(ctx)
    with pytest.raises(Unauthenticated):
        await get_attachment(ctx, 1)
    assert kept_files(ctx) == set()


async def test_what_is_asked_for_must_be_it(ctx: Context) -> None:
    alice = await join(ctx)
    png, voice = files.image_file("PNG"), files.voice("audio/wav")
    assert (await upload(alice, png, kind=MessageKind.IMAGE)).kind is MessageKind.IMAGE
    assert (await upload(alice, voice, kind=MessageKind.VOICE)).kind is MessageKind.VOICE
    as_file = await upload(alice, png, "a.png", MessageKind.FILE)
    assert (as_file.kind, as_file.media_type) == (MessageKind.FILE, "application/octet-stream")
    before = kept_files(ctx)
    for content, kind in (
        (voice, MessageKind.IMAGE),
        (png, MessageKind.VOICE),
        (TEXT, MessageKind.IMAGE),
        (files.video(), MessageKind.VOICE),
        (png, MessageKind.TEXT),
        (png, MessageKind.EMOJI),
        (files.truncated(png), None),
    ):
        with pytest.raises(BadInput):
            await upload(alice, content, kind=kind)
    assert kept_files(ctx) == before


async def test_an_image_may_be_a_picture_for_one_and_a_file_for_another(ctx: Context) -> None:
    alice = await join(ctx)
    png = files.image_file("PNG")
    first = await upload(alice, png, "a.png", MessageKind.FILE)
    second = await upload(alice, png, "a.png")
    assert (first.kind, first.media_type) == (MessageKind.FILE, "application/octet-stream")
    assert (second.kind, second.media_type, second.width) == (MessageKind.IMAGE, "image/png", 640)
    assert (first.width, first.thumbnail_size) == (None, None)
    assert await read(alice, first.id) == await read(alice, second.id) == png


async def test_each_kind_has_its_limit(ctx: Context) -> None:
    alice = await join(ctx)
    limits: dict[str, Any] = {f"max_{kind}_bytes": 2000 for kind in ("image", "voice", "file")}

    def narrowed(**others: int) -> Context:
        settings = ctx.settings.model_copy(update={**limits, **others})
        return replace(alice, settings=settings)

    noise = files.encode(Image.effect_noise((80, 80), 90), "PNG")
    for content, name in (
        (noise, "max_image_bytes"),
        (files.voice("audio/wav"), "max_voice_bytes"),
        (bytes(2001), "max_file_bytes"),
    ):
        with pytest.raises(PayloadTooLarge):
            await upload(narrowed(), content)
        assert (await upload(narrowed(**{name: 10**6}), content)).size == len(content)
    assert (await upload(narrowed(), bytes(2000))).size == 2000


async def test_only_who_may_see_a_message_with_it_may_open_it(ctx: Context) -> None:
    alice, bob, eve = await join(ctx), await join(ctx), await join(ctx)
    found = await upload(alice)
    answers = []

    async def refused(viewer: Context, id_: int) -> None:
        with pytest.raises(NotFound) as refusal:
            await open_attachment(viewer, Part(id_), signed=False)
        answers.append(refusal.value.message)

    await refused(bob, found.id)
    await messages.send_message(
        alice, receiver_id=bob.user.id, content="", kind=None, attachment_id=found.id
    )
    assert await read(bob, found.id) == await read(alice, found.id) == TEXT
    await refused(eve, found.id)
    await refused(eve, found.id + 1000)
    assert len(set(answers)) == 1
    opened = await open_attachment(ctx, Part(found.id), signed=True)
    assert opened.attachment == found
    with pytest.raises(NotFound):
        await open_attachment(ctx, Part(found.id + 1000), signed=True)


async def test_the_same_content_is_stored_once(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    photo = files.photo("JPEG")
    first = await upload(alice, photo, "one.jpg")
    second = await upload(bob, photo, "two.jpg")
    assert first.id != second.id
    assert (first.name, first.sha256) == (second.name, second.sha256)
    assert (first.filename, second.filename) == ("one.jpg", "two.jpg")
    assert kept_files(ctx) == {first.name, thumbnail_name(first.name)}


async def test_the_same_content_uploaded_at_once_is_stored_once(ctx: Context) -> None:
    people = [await join(ctx) for _ in range(3)]
    content = TEXT * 50_000
    found = await asyncio.gather(*(upload(people[part % 3], content) for part in range(9)))
    assert len({each.id for each in found}) == 9
    assert len({each.name for each in found}) == 1
    for each, owner in zip(found, people * 3, strict=True):
        assert await read(owner, each.id) == content
    # Those that came second are left to the sweep, which leaves the first alone.
    await messages.send_message(
        people[0], receiver_id=None, content="", kind=None, attachment_id=found[0].id
    )
    await sweep_uploads(ctx, now=in_days(2))
    assert kept_files(ctx) == {found[0].name}
    assert await read(people[1], found[0].id) == content


async def test_the_sweep_removes_what_was_not_sent_for_a_day(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    image = files.image_file("PNG")
    gone, sent, shared = await upload(alice, image), await upload(alice), await upload(bob)
    await messages.send_message(
        alice, receiver_id=bob.user.id, content="", kind=None, attachment_id=sent.id
    )
    await sweep_uploads(ctx, now=in_days(0.99))
    assert len(kept_files(ctx)) == 3
    await sweep_uploads(ctx, now=in_days(1.01))
    assert kept_files(ctx) == {sent.name}
    assert await rows_of_files(ctx) == 1
    assert await read(bob, sent.id) == TEXT
    for id_ in (gone.id, shared.id):
        with pytest.raises(NotFound):
            await get_attachment(alice, id_)
    # What was swept may come again.
    again = await upload(alice, image)
    assert await read(alice, again.id) == image


async def test_many_uploads_are_swept_in_steps(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolvers.attachments.sweep.SWEEP_BATCH", 2)
    alice = await join(ctx)
    for number in range(5):
        await upload(alice, TEXT + bytes([number]), kind=MessageKind.FILE)
    await sweep_uploads(ctx, now=in_days(2))
    assert (kept_files(ctx), await rows_of_files(ctx)) == (set(), 0)


class Died(BaseException):
    """The process ended here."""


async def tidy_nothing(ctx: Context, attachment_id: int) -> None:
    """What a crash does about what it left."""


STEPS: dict[str, tuple[object, str]] = {
    "noting the file": (queries, "insert_file"),
    "putting it": (FileStore, "put"),
    "publishing it": (queries, "publish_file"),
    "attaching it": (queries, "insert_attachment"),
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_leaves_nothing_that_lasts(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    alice = await join(ctx)
    image = files.image_file("PNG")
    where, name = STEPS[step]
    original = getattr(where, name)

    async def die(*arguments: Any, **options: Any) -> None:
        if after:
            await original(*arguments, **options)
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(where, name, die)
        patched.setattr(uploads, "_withdraw", tidy_nothing)
        with pytest.raises(Died):
            await upload(alice, image)
    # Meanwhile it can be uploaded all the same.
    again = await upload(alice, image)
    await messages.send_message(
        alice, receiver_id=None, content="", kind=None, attachment_id=again.id
    )
    await sweep_uploads(ctx, now=in_days(2))
    assert await read(alice, again.id) == image
    assert kept_files(ctx) == await expect_nothing_dangling(ctx)
    assert len(kept_files(ctx)) == 2
    assert await rows_of_files(ctx) == 1


async def test_a_crash_of_the_sweep_is_made_good_by_the_next(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await join(ctx)
    for number in range(3):
        await upload(alice, TEXT + bytes([number]), kind=MessageKind.FILE)
    for where, name in ((FileStore, "delete"), (queries, "forget_files")):

        async def die(*arguments: Any, **options: Any) -> None:
            raise Died

        with monkeypatch.context() as patched:
            patched.setattr(where, name, die)
            with pytest.raises(Died):
                await sweep_uploads(ctx, now=in_days(2))
    await sweep_uploads(ctx, now=in_days(2))
    assert (kept_files(ctx), await rows_of_files(ctx)) == (set(), 0)


@asynccontextmanager
async def _without_store(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    async def fail(*arguments: Any) -> None:
        raise StoreUnavailable("no answer")

    with monkeypatch.context() as patched:
        for name in ("put", "delete", "has"):
            patched.setattr(FileStore, name, fail, raising=False)
        yield


async def test_a_store_that_is_down_is_said_and_what_it_missed_is_made_good(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await join(ctx)
    kept = await upload(alice)
    async with _without_store(ctx, monkeypatch):
        with pytest.raises(Unavailable):
            await upload(alice, TEXT * 2)
        with pytest.raises(Unavailable):
            await sweep_uploads(ctx, now=in_days(2))
    assert kept_files(ctx) == {kept.name}
    assert (await upload(alice, TEXT * 2)).size == 2 * len(TEXT)
    await sweep_uploads(ctx, now=in_days(2))
    assert (kept_files(ctx), await rows_of_files(ctx)) == (set(), 0)


async def test_content_that_the_store_has_lost_is_put_again(ctx: Context) -> None:
    alice = await join(ctx)
    image = files.image_file("PNG")
    lost = await upload(alice, image)
    for name in kept_files(ctx):
        (ctx.settings.data_dir / "files" / name).unlink()
    opened = await open_attachment(alice, Part(lost.id), signed=False)
    with pytest.raises(NotFound):
        await anext(read_file(alice, opened, 0, opened.size))
    again = await upload(alice, image)
    assert await read(alice, again.id) == await read(alice, lost.id) == image
    assert await read(alice, lost.id, thumbnail=True)


async def test_a_deadlock_is_tried_again(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await join(ctx)
    original = queries.insert_attachment
    ends = [Deadlocked("a deadlock"), Deadlocked("another")]

    async def insert(*arguments: Any, **options: Any) -> int:
        if ends:
            raise ends.pop()
        return await original(*arguments, **options)

    monkeypatch.setattr(queries, "insert_attachment", insert)
    found = await upload(alice)
    assert not ends
    assert await read(alice, found.id) == TEXT
