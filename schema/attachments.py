"""Attachments in GraphQL: upload, look at, open."""

from contextlib import suppress
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import ID, argument, field

from db.models import MessageKind, StoredAttachment
from resolvers.attachments import files, uploads
from resolvers.errors import NotFound
from resolvers.guards.file_urls import Part
from schema.context import Info
from schema.execution.plans import SAME_FOR_ALL
from schema.global_ids import Node
from schema.scalars import Upload, known_id, wire_id


@strawberry.type(description="An image, a voice note or another file.")
class Attachment(Node):
    id: ID = field(description="A decimal string.")
    kind: MessageKind = field(description="What its bytes are: IMAGE, VOICE or FILE.")
    filename: str = field(description="The name under which it was uploaded, made safe.")
    media_type: str = field(description="What its bytes are, as a MIME type.")
    size: int = field(description="In bytes.")
    sha256: str = field(description="Of its content, in hexadecimal.")
    width: int | None = field(description="In pixels, of an image or a video.")
    height: int | None = field(description="In pixels, of an image or a video.")
    duration_ms: int | None = field(description="In milliseconds, of a voice note or a video.")
    waveform: list[int] | None = field(
        description="How loud a voice note is over its time: at most 100 numbers from 0 to 100."
    )
    created_at: datetime = field(description="When it was uploaded.")
    record: strawberry.Private[StoredAttachment]

    @field(
        description="The address that serves it. It is signed: it needs no token, and expires"
        " (FILE_URL_SECONDS); ask again for a fresh address.",
        metadata=SAME_FOR_ALL,
    )
    def url(self, info: Info) -> str:
        return info.context.ctx.file_urls.url(Part(self.record.id))

    @field(
        description="The signed address of a WebP picture of it, at most 320 pixels wide and high."
        " Null when it is no image.",
        metadata=SAME_FOR_ALL,
    )
    def thumbnail_url(self, info: Info) -> str | None:
        if self.record.thumbnail_size is None:
            return None
        return info.context.ctx.file_urls.url(Part(self.record.id, thumbnail=True))

    @classmethod
    def of(cls, record: StoredAttachment) -> "Attachment":
        """Return the attachment as GraphQL shows it."""
        return cls(
            id=wire_id(record.id),
            kind=record.kind,
            filename=record.filename,
            media_type=record.media_type,
            size=record.size,
            sha256=record.sha256,
            width=record.width,
            height=record.height,
            duration_ms=record.duration_ms,
            waveform=None if record.waveform is None else [*record.waveform],
            created_at=record.created_at,
            record=record,
        )


@strawberry.type
class AttachmentQueries:
    @field(
        description="An upload of yours, or the attachment of a message that you may see; else"
        " null."
    )
    async def attachment(
        self, info: Info, id: Annotated[ID, argument("The attachment's id.")]
    ) -> Attachment | None:
        ctx = info.context.ctx
        ctx.user  # noqa: B018  # the door: strangers are told so, whatever the id
        with suppress(NotFound):
            id_ = known_id(id, "Attachment not found")
            return Attachment.of(await files.get_attachment(ctx, id_))
        return None


@strawberry.type
class AttachmentMutations:
    @strawberry.mutation(
        description="Upload a file; send it by `sendMessage(attachmentId: …)` within a day. Use the"
        " GraphQL multipart request specification, with the header `GraphQL-Preflight: 1` (or"
        " `Apollo-Require-Preflight`). The server recognises a file by its bytes, not by its name"
        " or media type. Images are turned upright and lose their metadata, such as the place where"
        " they were taken; HEIC becomes JPEG."
    )
    async def upload_attachment(
        self,
        info: Info,
        file: Annotated[Upload, argument("The file.")],
        kind: Annotated[
            MessageKind | None,
            argument(
                "IMAGE or VOICE: refuse another file. FILE: keep it byte by byte, also an image."
                " Without it: the kind that the file is."
            ),
        ] = None,
    ) -> Attachment:
        ctx = info.context.ctx
        return Attachment.of(await uploads.upload_attachment(ctx, file, kind=kind))
