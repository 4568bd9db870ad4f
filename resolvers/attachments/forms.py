"""Forms with files: admitted by the uploader's limits, and received into temporary files.

The temporary files have no name, so that a crash leaves nothing behind.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from io import BufferedRandom
from typing import Protocol

from db.attachments import count_unsent
from db.storage import stored_bytes
from resolvers.context import Context
from resolvers.errors import BadInput, PayloadTooLarge, RateLimited, Unavailable
from resolvers.guards.validation import printable
from settings import Settings

# So many bytes are gathered before a thread writes them: what an upload costs in memory.
WRITE_BYTES = 256 * 1024
MAX_FIELDS = 100
# Why a part that was meant as a file is a field (RFC 7578 §4.2).
NO_FILENAME = "a part is a file only if its Content-Disposition has a filename"


class FormBody(Protocol):
    """A form on its way in (server/multipart.py)."""

    @property
    def stated_length(self) -> int:
        """The number of bytes that the sender announces; 0 for none."""

    def read_parts(
        self, count: Callable[[int], Awaitable[None]]
    ) -> AsyncGenerator[tuple[str, str | None] | bytes, None]:
        """Yield the name and the filename of each part, and after them the part's bytes.

        `count` is told the size of each chunk. Raises ValueError for a malformed form.
        """


@dataclass(slots=True)
class ReceivedFile:
    """A file as it was sent: real, nameless, gone when it is closed."""

    filename: str
    content: BufferedRandom
    size: int = 0
    # Whether its request was counted for its first attachment; further ones count by themselves.
    counted: bool = False
    bytes_counted: bool = True


@dataclass(slots=True)
class Form:
    """The fields of a form, and its files by the names of their fields."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, ReceivedFile] = field(default_factory=dict)


def field_instead(name: str) -> str:
    """Say why a part of this name is no file."""
    return f"the part {printable(name[:40])!r} is a field: {NO_FILENAME}"


@asynccontextmanager
async def receive_form(ctx: Context, body: FormBody, *, max_files: int) -> AsyncIterator[Form]:
    """Lend the form that is in the body; its files are gone afterwards.

    Raises Unauthenticated before anything is read, PayloadTooLarge as soon as the size is known,
    RateLimited, BadInput, Unavailable when there is no room on the disk.
    """
    user_id, settings = ctx.user.id, ctx.settings
    size = _BodySize(ctx, max_files * settings.max_upload_bytes + settings.max_body_bytes)
    size.check(body.stated_length)
    with ExitStack() as stack:
        # Before anything is awaited: of many requests at once, none is looked at without a slot.
        stack.enter_context(ctx.upload_slots.hold(user_id, ctx.address))
        await _check_room(ctx, body.stated_length - settings.max_body_bytes)
        await ctx.limits.count_upload(user_id)
        await size.count(body.stated_length)
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        receiver = _Receiver(settings, stack, max_files=max_files)
        try:
            async with aclosing(body.read_parts(size.add)) as parts:
                async for part in parts:
                    await receiver.receive(part)
            await receiver.end_part()
        except ValueError as error:
            raise BadInput(str(error)) from error
        except OSError as error:
            raise Unavailable from error
        yield receiver.form


async def _check_room(ctx: Context, size: int) -> None:
    """Refuse early what would be refused where the attachment is made: that decision counts.

    Raises RateLimited, PayloadTooLarge.
    """
    async with ctx.read() as connection:
        unsent = await count_unsent(connection, ctx.user.id)
        stored = await stored_bytes(connection, ctx.user.id)
    if unsent >= ctx.settings.max_unsent_uploads:
        raise too_many_unsent()
    quota = ctx.settings.storage_per_user
    if quota and (stored >= quota or stored + size > quota):
        raise storage_is_full(quota)


def too_many_unsent() -> RateLimited:
    """Return the refusal of more uploads than may wait to be sent."""
    return RateLimited(
        "Too many uploads wait to be sent; send some first",
        retry_after_ms=60_000,
        setting="MAX_UNSENT_UPLOADS",
    )


def storage_is_full(quota: int) -> PayloadTooLarge:
    """Return the refusal of an upload that its owner has no room for."""
    return PayloadTooLarge(
        f"Your attachments may take {quota} bytes together, and this one has no room in them",
        setting="STORAGE_PER_USER",
    )


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The file is larger than {limit} bytes")


class _BodySize:
    """The bytes of one body: bounded together, and counted against the user's rate.

    The stated length is counted before the body arrives, what goes beyond it as it arrives.
    """

    def __init__(self, ctx: Context, limit: int) -> None:
        self._ctx = ctx
        self._limit = limit
        self._received = 0
        self._counted = 0

    def check(self, size: int) -> None:
        """Raise PayloadTooLarge for more bytes than a body may have."""
        if size > self._limit:
            raise _too_large(self._ctx.settings.max_upload_bytes)

    async def add(self, size: int) -> None:
        """Count a chunk that has arrived. Raises PayloadTooLarge, RateLimited."""
        # What the parser skips counts too: bytes before, between and after the parts.
        self._received += size
        self.check(self._received)
        await self.count(self._received)

    async def count(self, size: int) -> None:
        """Have at least so many bytes counted in all. Raises RateLimited, PayloadTooLarge."""
        if size > self._counted:
            # A step at least: a body that comes byte by byte is not asked about for each.
            more = max(size - self._counted, self._ctx.limits.upload_step)
            await self._ctx.limits.count_upload_bytes(self._ctx.user.id, more)
            self._counted += more


class _Receiver:
    """Makes a form of its parts: fields stay in memory, files go to the disk."""

    def __init__(self, settings: Settings, stack: ExitStack, *, max_files: int) -> None:
        self.form = Form()
        self._max_file_bytes = settings.max_upload_bytes
        self._field_bytes_left = settings.max_body_bytes
        self._max_files = max_files
        self._directory = settings.data_dir
        self._stack = stack  # closes the files
        # Of the current part; there is none before the first.
        self._name: str | None = None
        self._file: ReceivedFile | None = None
        self._gathered = bytearray()

    async def receive(self, part: tuple[str, str | None] | bytes) -> None:
        """Begin a part with this head, or add bytes to the current one."""
        if isinstance(part, bytes):
            await self._add(part)
        else:
            await self.end_part()
            self._begin_part(*part)

    def _begin_part(self, name: str, filename: str | None) -> None:
        files, fields = self.form.files, self.form.fields
        if filename is None:
            if len(fields) == MAX_FIELDS:
                raise BadInput(f"The form has more than {MAX_FIELDS} fields")
            if name in fields:
                raise BadInput("Two fields of the form have the same name")
            self._file = None
        else:
            if len(files) >= self._max_files:
                raise BadInput(f"The form has more than {self._max_files} file(s)")
            if name in files:
                raise BadInput("Two files of the form have the same name")
            content = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115  # the stack closes it
            self._stack.callback(_close, content)
            self._file = files[name] = ReceivedFile(filename, content, counted=not files)
        self._name = name
        self._gathered = bytearray()

    async def _add(self, data: bytes) -> None:
        if self._file is None:
            self._field_bytes_left -= len(data)
            if self._field_bytes_left < 0:
                raise PayloadTooLarge(f"The form's fields are too large; {NO_FILENAME}")
        else:
            self._file.size += len(data)
            if self._file.size > self._max_file_bytes:
                raise _too_large(self._max_file_bytes)
        self._gathered += data
        if self._file is not None and len(self._gathered) >= WRITE_BYTES:
            await self._write(self._file)

    async def end_part(self) -> None:
        """Complete the current part, if there is one. Raises BadInput, OSError."""
        if self._file is not None:
            await self._write(self._file)
        elif self._name is not None:
            try:
                self.form.fields[self._name] = self._gathered.decode()
            except UnicodeDecodeError as error:
                raise BadInput(f"A field of the form is not UTF-8; {NO_FILENAME}") from error

    async def _write(self, file: ReceivedFile) -> None:
        gathered, self._gathered = self._gathered, bytearray()
        await asyncio.to_thread(_write, file.content, gathered)


def _write(content: BufferedRandom, data: bytearray) -> None:
    content.write(data)
    content.flush()  # a full disk is found here, not where the file is read


def _close(file: BufferedRandom) -> None:
    with suppress(OSError):  # what could not be written is tried again, though nobody wants it
        file.close()
