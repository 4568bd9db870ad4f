"""Attachments: upload, open, sweep."""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db import attachments, storage, users
from db.attachments import Content
from db.files import FileMissing, StoreUnavailable
from db.models import MessageKind, StoredAttachment
from media.facts import FileKind
from media.inspector import FileRefused, Inspected, InspectionFailed, TooManyFiles
from resolvers import access
from resolvers.changes import write_again
from resolvers.context import Context
from resolvers.errors import (
    BadInput,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from resolvers.guards.fields import clean_filename
from resolvers.guards.file_urls import Part
from resolvers.reads import reading_log
from resolvers.upload_sweep import delete_content, remove_files, thumbnail_name
from resolvers.uploads import ReceivedFile, sha256_of, storage_is_full, too_many_unsent

logger = logging.getLogger("parley.attachments")

# The file types that a browser may show, and the endings that a name of each type may have.
SUFFIXES = {
    "image/jpeg": (".jpg", ".jpeg", ".jfif"),
    "image/png": (".png",),
    "image/gif": (".gif",),
    "image/webp": (".webp",),
    "image/avif": (".avif",),
    "audio/ogg": (".ogg", ".oga", ".opus"),
    "audio/webm": (".webm", ".weba"),
    "audio/mp4": (".m4a", ".mp4", ".aac"),
    "audio/mpeg": (".mp3",),
    "audio/wav": (".wav",),
    "audio/aac": (".aac",),
    "audio/amr": (".amr",),
    "audio/amr-wb": (".awb", ".amr"),
    "audio/flac": (".flac",),
    "audio/x-caf": (".caf",),
    "audio/3gpp": (".3gp", ".3gpp"),
    "video/mp4": (".mp4", ".m4v", ".mov"),
    "video/webm": (".webm", ".mkv"),
}


class OpenFile(NamedTuple):
    """What is served of an attachment."""

    attachment: StoredAttachment
    name: str  # in the store
    size: int
    media_type: str
    etag: str


async def upload_attachment(
    ctx: Context, received: ReceivedFile, *, kind: MessageKind | None = None
) -> StoredAttachment:
    """Keep a file for its sender to send. What it is, its bytes say, not its sender.

    `kind` IMAGE or VOICE refuses what is not one; FILE keeps the file as it is, unread. Raises
    Unauthenticated, BadInput, PayloadTooLarge, RateLimited, Unavailable.
    """
    ctx.user  # noqa: B018  # the door
    if kind is not None and kind.value not in set(FileKind):
        raise BadInput(f"kind must be one of {', '.join(FileKind)}")
    await _count(ctx, received)
    facts, thumbnail = await _inspect(ctx, received, kind)
    if kind is not None and facts.kind != kind.value:
        raise BadInput(f"The file is no {_WORDS[kind]}{_KNOWN.get(kind, '')}")
    try:
        sha256, size = await asyncio.to_thread(sha256_of, received.content)
        content = Content(
            name=f"{sha256[:2]}/{sha256}-{secrets.token_hex(8)}",
            sha256=sha256,
            size=size,
            media_type=facts.media_type,
            width=facts.width,
            height=facts.height,
            duration_ms=facts.duration_ms,
            waveform=bytes(facts.waveform) if facts.waveform else None,
            thumbnail_size=len(thumbnail) or None,
        )
        _check_size(ctx, facts.kind, size)
        filename = clean_filename(received.filename, suffixes=SUFFIXES.get(facts.media_type, ()))
        return await _keep(ctx, received, content, thumbnail, MessageKind(facts.kind), filename)
    except (StoreUnavailable, OSError) as error:
        logger.error("A file could not be kept: %s", error)
        raise Unavailable from error


async def _count(ctx: Context, received: ReceivedFile) -> None:
    """Count the upload, unless its request was counted for it. Raises RateLimited.

    One request may make many attachments, by aliases or of several files: each is one.
    """
    if received.counted:
        received.counted = False
    else:
        await ctx.limits.take_upload(ctx.user.id)
    if received.bytes_counted:
        received.bytes_counted = False
    else:
        await ctx.limits.take_upload_bytes(ctx.user.id, received.size)


_WORDS = {MessageKind.IMAGE: "image", MessageKind.VOICE: "voice note", MessageKind.FILE: "file"}

# What a client may do about it, beside the kind that was asked for.
_KNOWN = {
    MessageKind.IMAGE: " (JPEG, PNG, GIF, WebP, AVIF or HEIC)",
    MessageKind.VOICE: " of at most an hour in Opus, AAC, MP3, WAV, FLAC or AMR",
}


async def _inspect(ctx: Context, received: ReceivedFile, kind: MessageKind | None) -> Inspected:
    wanted = None if kind is None else FileKind(kind.value)
    try:
        found = await ctx.inspector.inspect(
            received.content,
            size=received.size,
            wanted=wanted,
            owner=str(ctx.user.id),
            address=ctx.address,
        )
    except FileRefused as error:
        raise BadInput(str(error)) from error
    except InspectionFailed as error:
        raise Unavailable from error
    except TooManyFiles as error:
        raise RateLimited(
            "Too many uploads at once; try again in a few seconds", retry_after_ms=3000
        ) from error
    _check_size(ctx, found.facts.kind, received.size)
    return found


def _check_size(ctx: Context, kind: FileKind, size: int) -> None:
    limits = {
        FileKind.IMAGE: ctx.settings.max_image_bytes,
        FileKind.VOICE: ctx.settings.max_voice_bytes,
        FileKind.FILE: ctx.settings.max_file_bytes,
    }
    if size > limits[kind]:
        raise PayloadTooLarge(
            f"A file of kind {kind} has at most {limits[kind]} bytes",
            setting=f"MAX_{kind}_BYTES",
        )


async def _keep(
    ctx: Context,
    received: ReceivedFile,
    content: Content,
    thumbnail: bytes,
    kind: MessageKind,
    filename: str,
) -> StoredAttachment:
    """Keep the content, unless it is there already, and make an attachment of it.

    The attachment, what its owner has left, and what may be in the store are noted in the database
    first: of uploads at once none gets past a limit, and whatever happens in between, the sweep
    finds it.
    """

    async def reserve(connection: AsyncConnection) -> tuple[int, int | None]:
        at = datetime.now(UTC)
        known = await attachments.lock_file(connection, content)
        new = await attachments.insert_file(connection, content, at) if known is None else None
        attachment_id = await attachments.insert_attachment(
            connection,
            owner_id=ctx.user.id,
            file_id=known or new or 0,
            kind=kind,
            filename=filename,
            at=at,
        )
        await _charge(ctx, connection, content)
        return attachment_id, new

    async def find() -> StoredAttachment:
        async with ctx.read() as connection:
            return (await attachments.find_attachments(connection, [attachment_id]))[attachment_id]

    attachment_id, file_id = await write_again(ctx, reserve)
    try:
        if file_id is not None:
            await _put(ctx, content.name, received, thumbnail)
            await _publish(ctx, content, attachment_id, file_id)
        kept = await find()
        if file_id is None and not await ctx.files.has(kept.name, kept.size):
            logger.error("The store had lost %s; it is put again", kept.name)
            await _put(ctx, kept.name, received, thumbnail)
            try:
                await find()
            except KeyError:
                # The sweep removed the content, and then the row: nothing else removes it again.
                await delete_content(ctx, kept.name)
                raise
    except KeyError:
        raise Unavailable from None  # it was swept meanwhile: nothing is lost by trying again
    except BaseException:
        # Whoever waited may have gone; what is noted goes all the same.
        await asyncio.shield(_withdraw(ctx, attachment_id))
        raise
    return kept


async def _charge(ctx: Context, connection: AsyncConnection, content: Content) -> None:
    """Count the reservation against what its owner may have. Raises PayloadTooLarge, RateLimited.

    Unauthenticated for who was deleted meanwhile.
    """
    owner_id, quota = ctx.user.id, ctx.settings.storage_per_user
    if not await storage.charge(connection, owner_id, content.stored_bytes, quota):
        if not await users.existing_ids(connection, [owner_id]):
            raise Unauthenticated("The account was deleted")
        raise PayloadTooLarge(storage_is_full(quota), setting="STORAGE_PER_USER")
    # With the one that was just made: the owner's row is locked, so that no two pass at once.
    if await attachments.count_unsent(connection, owner_id) > ctx.settings.max_unsent_uploads:
        raise too_many_unsent()


async def _publish(ctx: Context, content: Content, attachment_id: int, file_id: int) -> None:
    """Have the attachment seen, now that its content is in the store. Raises Unavailable."""

    async def publish(connection: AsyncConnection) -> bool:
        # From now on it may wait to be sent, however long its content took. A published file whose
        # attachment the sweep has forgotten would last for ever: nothing would look for it.
        if not await attachments.set_time(connection, attachment_id, datetime.now(UTC)):
            return False
        return await attachments.publish_file(connection, file_id, content.sha256)

    try:
        if await write_again(ctx, publish):
            return
    except IntegrityError:
        # Another upload of the same content came first: the attachment is of that one's file.
        async def adopt(connection: AsyncConnection) -> bool:
            other = await attachments.lock_file(connection, content)
            if other is not None:
                await attachments.refer_to(connection, attachment_id, other)
            return other is not None

        if await write_again(ctx, adopt):
            await remove_files(ctx, [file_id])
            return
    # It was swept meanwhile, perhaps before its bytes were put: nothing else removes them now.
    await delete_content(ctx, content.name)
    raise Unavailable  # nothing is lost by trying again


async def _withdraw(ctx: Context, attachment_id: int) -> None:
    """Leave nothing of an upload that failed. What cannot be removed is left to the sweep."""
    try:
        dead = await write_again(ctx, partial(attachments.withdraw, attachment_id=attachment_id))
        await remove_files(ctx, dead)
    except Unavailable as error:
        logger.warning("An upload that failed is left to the sweep: %r", error.__cause__)


async def _put(ctx: Context, name: str, received: ReceivedFile, thumbnail: bytes) -> None:
    received.content.seek(0)
    await ctx.files.put(name, received.content)
    if thumbnail:
        await ctx.files.put(thumbnail_name(name), thumbnail)


async def get_attachment(ctx: Context, attachment_id: int) -> StoredAttachment:
    """Return one's own attachment, or one of a message that one may see.

    Raises Unauthenticated, NotFound.
    """
    async with reading_log(ctx) as connection:
        return await access.visible_attachment(ctx, connection, attachment_id)


async def open_attachment(ctx: Context, part: Part, *, signed: bool) -> OpenFile:
    """Return what there is to serve, to the viewer or to whoever has a `signed` address of it.

    Raises Unauthenticated, NotFound.
    """
    if signed:
        async with ctx.read() as connection:
            found = await attachments.find_attachments(connection, [part.attachment_id])
        if part.attachment_id not in found:
            raise NotFound("File not found")
        attachment = found[part.attachment_id]
    else:
        attachment = await get_attachment(ctx, part.attachment_id)
    if not part.thumbnail:
        return OpenFile(
            attachment,
            attachment.name,
            attachment.size,
            attachment.media_type,
            f'"{attachment.sha256}"',
        )
    if attachment.thumbnail_size is None:
        raise NotFound("File not found")
    return OpenFile(
        attachment,
        thumbnail_name(attachment.name),
        attachment.thumbnail_size,
        "image/webp",
        f'"{attachment.sha256}-thumbnail"',
    )


async def read_file(
    ctx: Context, file: OpenFile, start: int, end: int
) -> AsyncGenerator[bytes, None]:
    """Yield the bytes from `start` up to, and without, `end`. Raises NotFound, Unavailable."""
    try:
        async for chunk in ctx.files.read(file.name, start, end):
            yield chunk
    except FileMissing as error:
        logger.error("The store has lost %s, of attachment %d", file.name, file.attachment.id)
        raise NotFound("File not found") from error
    except StoreUnavailable as error:
        raise Unavailable from error
