"""Opening an attachment, and reading its bytes from the store."""

import logging
from collections.abc import AsyncGenerator
from typing import NamedTuple

from db import attachments
from db.files import FileMissing
from db.models import StoredAttachment
from resolvers import access
from resolvers.attachments.sweep import thumbnail_name
from resolvers.context import Context
from resolvers.errors import NotFound, as_unavailable
from resolvers.guards.file_urls import Part
from resolvers.reads import reading_log

logger = logging.getLogger("parley.attachments")


class OpenFile(NamedTuple):
    """A file of an attachment, as it is served."""

    attachment: StoredAttachment
    name: str  # in the store
    size: int
    media_type: str
    version: str  # names the content: another content has another one


async def get_attachment(ctx: Context, attachment_id: int) -> StoredAttachment:
    """Return the viewer's own attachment, or one of a message that the viewer may see.

    Raises Unauthenticated, NotFound.
    """
    async with reading_log(ctx) as connection:
        return await access.visible_attachment(ctx, connection, attachment_id)


async def open_attachment(ctx: Context, part: Part, *, signed: bool) -> OpenFile:
    """Return the file to serve, to the viewer or to a caller with a `signed` address.

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
            attachment.sha256,
        )
    if attachment.thumbnail_size is None:
        raise NotFound("File not found")
    return OpenFile(
        attachment,
        thumbnail_name(attachment.name),
        attachment.thumbnail_size,
        "image/webp",
        f"{attachment.sha256}-thumbnail",
    )


async def read_file(
    ctx: Context, file: OpenFile, start: int, end: int
) -> AsyncGenerator[bytes, None]:
    """Yield the bytes from `start` up to, and without, `end`. Raises NotFound, Unavailable."""
    try:
        with as_unavailable():
            async for chunk in ctx.files.read(file.name, start, end):
                yield chunk
    except FileMissing as error:
        logger.error("The store has lost %s, of attachment %d", file.name, file.attachment.id)
        raise NotFound("File not found") from error
