"""Forms of several parts (`multipart/form-data`, RFC 7578), parsed as their bytes arrive."""

import re
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

# To read the type is quadratic; a boundary has 70 characters at most (RFC 2046 §5.1.1).
MAX_CONTENT_TYPE = 1024
MAX_PART_HEADERS = 16 * 1024
# More than any form of ours has: a chunk of a thousand parts would hold the event loop.
MAX_PARTS = 128
# Without its end too: looking for one again from each mark takes long where there is none.
QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
EXTENDED_FILENAME = re.compile(rb"filename\*\s*=\s*utf-8''([^;\s]*)", re.IGNORECASE)

# The name of a part, and its filename if it is a file.
PartHead = tuple[str, str | None]


class MultipartBody:
    """The body of a request that should hold a form."""

    def __init__(self, headers: Mapping[str, str], chunks: AsyncIterator[bytes]) -> None:
        self._content_type = headers.get("content-type", "")
        self._chunks = chunks
        self.stated_length = _read_length(headers.get("content-length", ""))

    async def read_parts(
        self, count: Callable[[int], Awaitable[None]]
    ) -> AsyncGenerator[PartHead | bytes, None]:
        """Yield the head of each part, and after each head the part's bytes in pieces.

        `count` is told the size of each chunk of the body before the chunk is looked into. Raises
        ValueError for a body of another type, a malformed one, and one that was cut short.
        """
        parser = _Parser(self._content_type)
        try:
            async for chunk in self._chunks:
                await count(len(chunk))
                for piece in parser.parse(chunk):
                    yield piece
            parser.finish()
        finally:
            parser.close()


def _read_length(content_length: str) -> int:
    """Return the length that a Content-Length states; 0 where it states none."""
    if not (content_length.isdecimal() and content_length.isascii()):
        return 0
    return int(content_length) if len(content_length) < 19 else sys.maxsize


class _Parser:
    """Collects what the library's parser calls back with."""

    def __init__(self, content_type: str) -> None:
        if len(content_type) > MAX_CONTENT_TYPE:
            raise ValueError("The Content-Type is too long")
        media_type, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if media_type.lower() != b"multipart/form-data" or not 1 <= len(boundary) <= 70:
            raise ValueError("The Content-Type must be multipart/form-data, with a boundary")
        self._pieces: list[PartHead | bytes] = []
        self._parts = 0
        self._headers: dict[bytes, bytes] = {}
        self._headers_size = 0
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._has_ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_header_name,
                "on_header_value": self._add_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_end": self._end,
            },
        )

    def parse(self, chunk: bytes) -> list[PartHead | bytes]:
        """Return what this chunk adds. Raises ValueError."""
        self._pieces = []
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise ValueError("The form is malformed") from error
        return self._pieces

    def finish(self) -> None:
        """Raise ValueError unless the form has ended."""
        if not self._has_ended:
            raise ValueError("The form was cut short")

    def close(self) -> None:
        """Let go of the library's parser: each keeps the other alive."""
        del self._parser

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise ValueError(f"The form has more than {MAX_PARTS} parts")
        self._headers = {}
        self._headers_size = 0

    def _count_header(self, size: int) -> None:
        self._headers_size += size
        if self._headers_size > MAX_PART_HEADERS:
            raise ValueError("A part of the form has too large a header")

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._headers[bytes(self._header_name.lower())] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        if b"name" not in options:
            raise ValueError("A part of the form has no name")
        name = options[b"name"].decode(errors="replace")
        self._pieces.append((name, _filename(disposition, options)))

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def _end(self) -> None:
        self._has_ended = True


def _filename(disposition: bytes, options: dict[bytes, bytes]) -> str | None:
    # RFC 7578 §4.2 forbids this form; Python's older clients send no other outside of ASCII.
    if (extended := EXTENDED_FILENAME.search(QUOTED.sub(b"", disposition))) is not None:
        return unquote_to_bytes(extended[1]).decode(errors="replace")
    # Browsers send the name in UTF-8, and a quotation mark in it as %22.
    plain = options.get(b"filename")
    return None if plain is None else plain.decode(errors="replace").replace("%22", '"')
