"""Pictures of profiles: made of an upload, kept while they are used, read by anybody."""

import asyncio
import logging
import secrets
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import BinaryIO, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from db import attachments
from db.files import FileMissing, StoreUnavailable
from db.models import MessageKind, StoredAttachment, StoredAvatar
from db.people import avatars, users
from media.facts import LARGE_SIDE, SMALL_SIDE
from media.inspector import FileRefused, InspectionFailed, TooManyFiles
from resolvers.attachments.forms import storage_is_full
from resolvers.changes import write_again
from resolvers.context import Context
from resolvers.errors import (
    BadInput,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
    as_unavailable,
)
from resolvers.reads import reading_log

logger = logging.getLogger("parley.attachments")

SIDES = {"large": LARGE_SIDE, "small": SMALL_SIDE}
KEY_BYTES = 16
SWEEP_BATCH = 100
DELETED = "The account was deleted"


class OpenAvatar(NamedTuple):
    """A picture of a profile, as it is served."""

    name: str  # in the store
    size: int
    version: str  # names the content


def avatar_path(key: str, size: str) -> str:
    """Return the path of the address of a picture: "large" or "small"."""
    return f"/avatars/{key}/{SIDES[size]}"


@asynccontextmanager
async def reserved_avatar(ctx: Context, attachment_id: int) -> AsyncIterator[str]:
    """Make the picture of an image that the viewer has uploaded, and lend its key.

    If the block raises, nothing of the picture is left; else somebody uses it now. Raises
    Unauthenticated, NotFound, BadInput, PayloadTooLarge, RateLimited, Unavailable.
    """
    upload = await _own_image(ctx, attachment_id)
    large, small = await _make_squares(ctx, upload)
    avatar = StoredAvatar(secrets.token_hex(KEY_BYTES), len(large), len(small))
    await write_again(ctx, partial(_reserve, ctx=ctx, avatar=avatar))
    try:
        with as_unavailable():
            for size, content in (("large", large), ("small", small)):
                await ctx.files.put(stored_name(avatar.key, SIDES[size]), content)
        yield avatar.key
    except BaseException:
        # Also where the caller has gone: the reservation must go all the same.
        await asyncio.shield(remove_unused(ctx, keys=[avatar.key]))
        raise


async def _own_image(ctx: Context, attachment_id: int) -> StoredAttachment:
    viewer = ctx.user
    async with reading_log(ctx) as connection:
        found = (await attachments.find_attachments(connection, [attachment_id])).get(attachment_id)
    if found is None or found.owner_id != viewer.id:
        raise NotFound("Attachment not found")
    if found.kind is not MessageKind.IMAGE:
        raise BadInput("The attachment is no image")
    return found


async def _make_squares(ctx: Context, upload: StoredAttachment) -> tuple[bytes, bytes]:
    with tempfile.TemporaryFile() as file:
        try:
            await _fetch(ctx, upload, file)
            return await ctx.inspector.make_squares(
                file, size=upload.size, owner=str(ctx.user.id), address=ctx.address
            )
        except FileRefused as error:
            raise BadInput(str(error)) from error
        except FileMissing as error:
            logger.error("The store has lost %s, of attachment %d", upload.name, upload.id)
            raise NotFound("Attachment not found") from error
        except TooManyFiles as error:
            raise RateLimited(
                "Too many uploads at once; try again in a few seconds", retry_after_ms=3000
            ) from error
        except (InspectionFailed, StoreUnavailable, OSError) as error:
            raise Unavailable from error


async def _fetch(ctx: Context, upload: StoredAttachment, file: BinaryIO) -> None:
    async for chunk in ctx.files.read(upload.name, 0, upload.size):
        await asyncio.to_thread(file.write, chunk)


async def _reserve(connection: AsyncConnection, *, ctx: Context, avatar: StoredAvatar) -> None:
    owner_id, quota = ctx.user.id, ctx.settings.storage_per_user
    if await avatars.reserve(connection, avatar, owner_id, quota, datetime.now(UTC)):
        return
    if not await users.existing_ids(connection, [owner_id]):
        raise Unauthenticated(DELETED)
    raise storage_is_full(quota)


async def open_avatar(ctx: Context, key: str, side: str) -> OpenAvatar:
    """Return the picture to serve, to whoever has its address. Raises NotFound, Unavailable."""
    sides = {str(side): size for size, side in SIDES.items()}
    if side in sides and len(key) == 2 * KEY_BYTES and key.isascii() and key.isalnum():
        async with ctx.read() as connection:
            found = await avatars.find_avatar(connection, key)
        if found is not None:
            size = found.large_size if sides[side] == "large" else found.small_size
            return OpenAvatar(stored_name(found.key, int(side)), size, f"{found.key}-{side}")
    raise NotFound("Picture not found")


async def read_avatar(ctx: Context, avatar: OpenAvatar) -> AsyncGenerator[bytes, None]:
    """Yield the picture's bytes. Raises NotFound, Unavailable."""
    try:
        with as_unavailable():
            async for chunk in ctx.files.read(avatar.name, 0, avatar.size):
                yield chunk
    except FileMissing as error:
        logger.error("The store has lost %s", avatar.name)
        raise NotFound("Picture not found") from error


async def remove_unused(
    ctx: Context, *, owner_id: int | None = None, keys: Collection[str] | None = None
) -> None:
    """Remove pictures that are in no use: of these keys, or those that a user has replaced.

    What cannot be removed now is logged, and left to the sweep.
    """
    try:
        before = datetime.max.replace(tzinfo=UTC) if keys else avatars.LONG_AGO + timedelta(days=1)
        await _remove(ctx, before, owner_id=owner_id, keys=keys)
    except Unavailable as error:
        logger.warning("A picture is left to the sweep: %r", error.__cause__)


async def sweep_avatars(ctx: Context, *, now: datetime | None = None) -> None:
    """Remove pictures that are in no use, if no update that is under way can need them.

    Raises Unavailable; what is left then is found again.
    """
    before = (now or datetime.now(UTC)) - timedelta(seconds=ctx.settings.unsent_upload_seconds)
    while await _remove(ctx, before) == SWEEP_BATCH:
        pass


async def _remove(
    ctx: Context,
    before: datetime,
    *,
    owner_id: int | None = None,
    keys: Collection[str] | None = None,
) -> int:
    claimed = await write_again(
        ctx,
        lambda connection: avatars.claim_unused(
            connection, before, SWEEP_BATCH, owner_id=owner_id, keys=keys
        ),
    )
    with as_unavailable():
        for key in claimed:
            for side in SIDES.values():
                await ctx.files.delete(stored_name(key, side))
    if claimed:
        await write_again(ctx, partial(avatars.forget, keys=claimed))
    return len(claimed)


def stored_name(key: str, side: int) -> str:
    """Return where the store has a picture."""
    return f"{key[:2]}/{key}-{side}.webp"
