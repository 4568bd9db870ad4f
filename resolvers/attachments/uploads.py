"""Uploads: a received file is looked at, stored, and made an attachment of its owner."""

import asyncio
import hashlib
import logging
import secrets
from datetime import UTC, datetime
from functools import partial
from io import BufferedRandom

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db import attachments, storage
from db.files import StoreUnavailable
from db.models import Content, MessageKind, StoredAttachment
from db.people import users
from media.facts import FileKind
from media.inspector import FileRefused, Inspected, InspectionFailed, TooManyFiles
from resolvers.attachments.forms import ReceivedFile, storage_is_full, too_many_unsent
from resolvers.attachments.sweep import delete_content, remove_files, thumbnail_name
from resolvers.changes import write_again
from resolvers.context import Context
from resolvers.errors import (
    BadInput,
    PayloadTooLarge,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from resolvers.guards.validation import clean_filename

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


# What a client reads of a file that is not of the kind it asked for, and which files would be.
_EXPECTED = {
    MessageKind.IMAGE: "image (JPEG, PNG, GIF, WebP, AVIF or HEIC)",
    MessageKind.VOICE: "voice note of at most an hour in Opus, AAC, MP3, WAV, FLAC or AMR",
    MessageKind.FILE: "file",
}


async def upload_attachment(
    ctx: Context, received: ReceivedFile, *, kind: MessageKind | None = None
) -> StoredAttachment:
    """Keep a file for its sender to send. Its bytes decide of which kind it is.

    `kind` IMAGE or VOICE refuses another file; FILE keeps the file as it is, unread. Raises
    Unauthenticated, BadInput, PayloadTooLarge, RateLimited, Unavailable.
    """
    ctx.user  # noqa: B018  # the door
    if kind is not None and kind.value not in set(FileKind):
        raise BadInput(f"kind must be one of {', '.join(FileKind)}")
    await _count(ctx, received)
    facts, thumbnail = await _inspect(ctx, received, kind)
    if kind is not None and facts.kind != kind.value:
        raise BadInput(f"The file is no {_EXPECTED[kind]}")
    try:
        sha256, size = await asyncio.to_thread(_hash_and_size, received.content)
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
        kept = await _keep(ctx, received, content, thumbnail, MessageKind(facts.kind), filename)
    except (StoreUnavailable, OSError) as error:
        logger.error("A file could not be kept: %s", error)
        raise Unavailable from error
    ctx.counted.uploads[facts.kind] += 1
    ctx.counted.upload_bytes += size
    return kept


def _hash_and_size(file: BufferedRandom) -> tuple[str, int]:
    """Return the SHA-256 (hexadecimal) and the size of a file."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest, file.tell()


async def _count(ctx: Context, received: ReceivedFile) -> None:
    """Count the upload, unless `receive_form` has counted it. Raises RateLimited.

    One request may make many attachments, by aliases or of several files: each counts.
    """
    if received.counted:
        received.counted = False
    else:
        await ctx.limits.count_upload(ctx.user.id)
    if received.bytes_counted:
        received.bytes_counted = False
    else:
        await ctx.limits.count_upload_bytes(ctx.user.id, received.size)


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

    The database first gets the attachment, its share of the owner's quota and the file's name: so
    parallel uploads keep to the limits, and the sweep finds whatever is left half done.
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
        raise Unavailable from None  # it was swept meanwhile; the caller may try again
    except BaseException:
        # Also where the caller has gone: the reservation must go all the same.
        await asyncio.shield(_withdraw(ctx, attachment_id))
        raise
    return kept


async def _charge(ctx: Context, connection: AsyncConnection, content: Content) -> None:
    """Count the reservation against the owner's limits. Raises PayloadTooLarge, RateLimited.

    Unauthenticated for an owner who was deleted meanwhile.
    """
    owner_id, quota = ctx.user.id, ctx.settings.storage_per_user
    if not await storage.charge(connection, owner_id, content.stored_bytes, quota):
        if not await users.existing_ids(connection, [owner_id]):
            raise Unauthenticated("The account was deleted")
        raise storage_is_full(quota)
    # The new one counts too. The owner's row is locked, so that no two pass at once.
    if await attachments.count_unsent(connection, owner_id) > ctx.settings.max_unsent_uploads:
        raise too_many_unsent()


async def _publish(ctx: Context, content: Content, attachment_id: int, file_id: int) -> None:
    """Show the attachment, now that its content is in the store. Raises Unavailable."""

    async def publish(connection: AsyncConnection) -> bool:
        # The time to send it begins now, however long its content took. A published file whose
        # attachment the sweep has forgotten would last for ever: nothing would look for it.
        if not await attachments.set_time(connection, attachment_id, datetime.now(UTC)):
            return False
        return await attachments.publish_file(connection, file_id, content.sha256)

    try:
        if await write_again(ctx, publish):
            return
    except IntegrityError:
        # Another upload of the same content came first: the attachment refers to its file.
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
    raise Unavailable  # the caller may try again


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
