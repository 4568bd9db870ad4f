"""Files on their way in: a form of several parts (RFC 7578) is read as it comes, never whole.

It stands among the operations because both faces receive files, and neither may know the other.
Files go to temporary files that have no name, so that a crash leaves nothing behind.
"""

import asyncio
import hashlib
import re
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from io import BufferedRandom
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from db.attachments import count_unsent
from db.storage import stored_bytes
from resolvers.context import Context
from resolvers.errors import BadInput, PayloadTooLarge, RateLimited, Unavailable
from resolvers.guards.fields import MAX_CONTENT_TYPE, printable

# Gathered before it is written, in another thread: what an upload costs in memory.
WRITE_BYTES = 256 * 1024
MAX_PART_HEADERS = 16 * 1024
MAX_FIELDS = 100
# Without its end too: looking for one again from each mark takes long where there is none.
QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
# Why a file may not have been taken for one (RFC 7578 §4.2).
NO_FILENAME = "a part is a file only if its Content-Disposition has a filename"
EXTENDED_FILENAME = re.compile(rb"filename\*\s*=\s*utf-8''([^;\s]*)", re.IGNORECASE)


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
    """The fields of a form, and its files by the names of theirs."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, ReceivedFile] = field(default_factory=dict)


def field_instead(name: str) -> str:
    """Say why a part of this name is no file."""
    return f"the part {printable(name[:40])!r} is a field: {NO_FILENAME}"


@dataclass(slots=True)
class _Part:
    """The part of the form that is being read."""

    name: str
    file: ReceivedFile | None
    gathered: bytearray = field(default_factory=bytearray)


@asynccontextmanager
async def receive_form(
    ctx: Context,
    chunks: AsyncGenerator[bytes, None],
    *,
    content_type: str,
    content_length: str | None,
    max_files: int,
) -> AsyncIterator[Form]:
    """Lend the form that is in the body; its files are gone afterwards.

    Raises Unauthenticated before anything is read, PayloadTooLarge as soon as it is known,
    BadInput, Unavailable when there is no room on the disk.
    """
    ctx.user  # noqa: B018  # the door: nobody's files are not even received
    settings = ctx.settings
    limit = max_files * settings.max_upload_bytes + settings.max_body_bytes
    told = _read_length(content_length)
    if told > limit:
        raise PayloadTooLarge(_too_large(settings.max_upload_bytes))
    with ExitStack() as stack:
        # Before anything is awaited: of many requests at once, none is looked at without a slot.
        stack.enter_context(ctx.upload_slots.take(ctx.user.id, ctx.address))
        await _check_room(ctx, told - settings.max_body_bytes)
        await ctx.limits.take_upload(ctx.user.id)
        toll = _Toll(ctx)
        await toll.count(told)
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        reader = _Reader(ctx, stack, max_files=max_files)
        parser = reader.parser(content_type)
        left = limit
        try:
            async for chunk in chunks:
                # Also what the parser skips, or forgets: before, between and after the parts.
                left -= len(chunk)
                if left < 0:
                    raise PayloadTooLarge(_too_large(settings.max_upload_bytes))
                await toll.count(limit - left)
                parser.write(chunk)
                await reader.settle()
            parser.finalize()
        except FormParserError as error:
            raise BadInput("The form is malformed") from error
        except OSError as error:
            raise Unavailable from error
        reader.check_complete()
        yield reader.form


async def _check_room(ctx: Context, size: int) -> None:
    """Refuse what will be refused anyway, before it is received. Raises RateLimited,
    PayloadTooLarge. What counts is decided later, where the attachment is made."""
    async with ctx.read() as connection:
        unsent = await count_unsent(connection, ctx.user.id)
        stored = await stored_bytes(connection, ctx.user.id)
    if unsent >= ctx.settings.max_unsent_uploads:
        raise too_many_unsent()
    quota = ctx.settings.storage_per_user
    if quota and (stored >= quota or stored + size > quota):
        raise PayloadTooLarge(storage_is_full(quota), setting="STORAGE_PER_USER")


def too_many_unsent() -> RateLimited:
    """Return what is told of more uploads than may wait to be sent."""
    return RateLimited(
        "Too many uploads wait to be sent; send some first",
        retry_after_ms=60_000,
        setting="MAX_UNSENT_UPLOADS",
    )


def storage_is_full(quota: int) -> str:
    """Return what is told of an upload that its owner has no room for."""
    return f"Your attachments may take {quota} bytes together, and this one has no room in them"


class _Toll:
    """Counts the bytes of a body: all that are told before it comes, others as they come."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._counted = 0

    async def count(self, size: int) -> None:
        """Have so many bytes counted. Raises RateLimited, PayloadTooLarge."""
        if size > self._counted:
            # A step at least: a body that comes byte by byte is not asked about for each.
            more = max(size - self._counted, self._ctx.limits.upload_step)
            await self._ctx.limits.take_upload_bytes(self._ctx.user.id, more)
            self._counted += more


def _read_length(content_length: str | None) -> int:
    """Return the length that is told of a body; 0 where none is."""
    text = content_length or ""
    if not (text.isdecimal() and text.isascii()):
        return 0
    return int(text) if len(text) < 19 else sys.maxsize


class _Reader:
    """Takes what the parser finds; whatever has to wait is done in `settle`, chunk by chunk."""

    def __init__(self, ctx: Context, stack: ExitStack, *, max_files: int) -> None:
        self.form = Form()
        self._max_file = ctx.settings.max_upload_bytes
        self._fields_left = ctx.settings.max_body_bytes
        self._max_files = max_files
        self._directory = ctx.settings.data_dir
        self._stack = stack
        self._header = bytearray()
        self._header_name = b""
        self._headers: dict[bytes, bytes] = {}
        self._headers_size = 0
        self._names: list[str] = []
        self._part: _Part | None = None
        self._ended = False
        self._to_write: list[tuple[ReceivedFile, bytearray]] = []

    def parser(self, content_type: str) -> MultipartParser:
        """Return a parser of such a body. Raises BadInput."""
        if len(content_type) > MAX_CONTENT_TYPE:
            raise BadInput("The Content-Type is too long")
        media_type, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if media_type.lower() != b"multipart/form-data" or not 1 <= len(boundary) <= 70:
            raise BadInput("The Content-Type must be multipart/form-data, with a boundary")
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_part_data": self._take_data,
                "on_part_end": self._end_part,
                "on_header_field": self._take_header,
                "on_header_end": self._end_header,
                "on_header_value": self._take_header_value,
                "on_headers_finished": self._start_part,
                "on_end": self._end,
            },
        )

    async def settle(self) -> None:
        """Write what was gathered."""
        if self._to_write:
            waiting, self._to_write = self._to_write, []
            await asyncio.to_thread(_write, waiting)

    def check_complete(self) -> None:
        """Raise BadInput when the form was cut short."""
        if not self._ended:
            raise BadInput("The form was cut short")

    def _begin_part(self) -> None:
        self._headers = {}
        self._headers_size = 0

    def _count_header(self, data: bytes, start: int, end: int) -> bytes:
        self._headers_size += end - start
        if self._headers_size > MAX_PART_HEADERS:
            raise BadInput("A part of the form has too large a header")
        return data[start:end]

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header_name += self._count_header(data, start, end)

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header += self._count_header(data, start, end)

    def _end_header(self) -> None:
        self._headers[self._header_name.lower()] = bytes(self._header)
        self._header_name = b""
        self._header.clear()

    def _start_part(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        if b"name" not in options:
            raise BadInput("A part of the form has no name")
        name = options[b"name"].decode(errors="replace")
        filename = _filename(disposition, options)
        if filename is None:
            self._names.append(name)
            if len(self._names) > MAX_FIELDS:
                raise BadInput(f"The form has more than {MAX_FIELDS} fields")
            if name in self._names[:-1]:
                raise BadInput("Two fields of the form have the same name")
            self._part = _Part(name, None)
            return
        if len(self.form.files) >= self._max_files:
            raise BadInput(f"The form has more than {self._max_files} file(s)")
        if name in self.form.files:
            raise BadInput("Two files of the form have the same name")
        content = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115  # the stack closes it
        self._stack.callback(_close, content)
        received = ReceivedFile(filename, content, counted=not self.form.files)
        self.form.files[name] = received
        self._part = _Part(name, received)

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        assert part is not None  # noqa: S101  # the parser tells of a part's headers first
        if part.file is None:
            self._fields_left -= end - start
            if self._fields_left < 0:
                raise PayloadTooLarge(f"The form's fields are too large; {NO_FILENAME}")
            part.gathered += data[start:end]
            return
        part.file.size += end - start
        if part.file.size > self._max_file:
            raise PayloadTooLarge(_too_large(self._max_file))
        part.gathered += data[start:end]
        if len(part.gathered) >= WRITE_BYTES:
            self._to_write.append((part.file, part.gathered))
            part.gathered = bytearray()

    def _end_part(self) -> None:
        part = self._part
        assert part is not None  # noqa: S101  # as above
        self._part = None
        if part.file is not None:
            self._to_write.append((part.file, part.gathered))
            return
        try:
            self.form.fields[part.name] = part.gathered.decode()
        except UnicodeDecodeError as error:
            raise BadInput(f"A field of the form is not UTF-8; {NO_FILENAME}") from error

    def _end(self) -> None:
        self._ended = True


def _write(waiting: list[tuple[ReceivedFile, bytearray]]) -> None:
    for file, content in waiting:
        file.content.write(content)
        file.content.flush()  # a full disk is found here, not where the file is read


def _close(file: BufferedRandom) -> None:
    with suppress(OSError):  # what could not be written is tried again, though nobody wants it
        file.close()


def _filename(disposition: bytes, options: dict[bytes, bytes]) -> str | None:
    # RFC 7578 §4.2 forbids this form; Python's older clients send no other outside of ASCII.
    if (extended := EXTENDED_FILENAME.search(QUOTED.sub(b"", disposition))) is not None:
        return unquote_to_bytes(extended[1]).decode(errors="replace")
    # Browsers send the name in UTF-8, and a quotation mark in it as %22.
    plain = options.get(b"filename")
    return None if plain is None else plain.decode(errors="replace").replace("%22", '"')


def _too_large(limit: int) -> str:
    return f"The file is larger than {limit} bytes"


def sha256_of(file: BufferedRandom) -> tuple[str, int]:
    """Return the SHA-256 (hexadecimal) and the size of a file; it is left at its beginning."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = file.tell()
    file.seek(0)
    return digest, size
