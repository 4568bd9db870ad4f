"""The parser of forms: parts in pieces, however the body is cut; ValueError for anything else."""

from collections.abc import AsyncGenerator

import pytest

from server.multipart import MAX_CONTENT_TYPE, MAX_PARTS, MultipartBody, PartHead

BOUNDARY = "b0undary"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def a_part(content: bytes, disposition: str) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n"
    return head.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
FIELD = a_part(b"1", 'form-data; name="field"')
FILE = a_part(b"content", 'form-data; name="file"; filename="a.txt"')


async def chunks_of(body: bytes, size: int) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def parts_of(
    body: bytes, *, size: int = 65536, content_type: str = TYPE, counted: list[int] | None = None
) -> list[tuple[PartHead, bytes]]:
    """Return the parts, and note in `counted` the sizes that were told."""
    found: list[tuple[PartHead, bytes]] = []

    async def count(received: int) -> None:
        if counted is not None:
            counted.append(received)

    sent = MultipartBody({"content-type": content_type}, chunks_of(body, size))
    async for piece in sent.read_parts(count):
        if isinstance(piece, bytes):
            head, content = found.pop()
            found.append((head, content + piece))
        else:
            found.append((piece, b""))
    return found


@pytest.mark.parametrize("size", [1, 3, 10_000])
async def test_parts_come_in_their_order_however_the_body_is_cut(size: int) -> None:
    counted: list[int] = []
    body = b"\r\n" + FIELD + FILE + END + b"behind"
    found = await parts_of(body, size=size, counted=counted)
    assert found == [(("field", None), b"1"), (("file", "a.txt"), b"content")]
    assert sum(counted) == len(body)  # with what stands around the parts


async def test_a_chunk_is_counted_before_it_is_looked_into() -> None:
    async def refuse(size: int) -> None:
        raise ZeroDivisionError

    body = MultipartBody({"content-type": TYPE}, chunks_of(b"no form", 100))
    with pytest.raises(ZeroDivisionError):
        await anext(body.read_parts(refuse))


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (FIELD + END, "text/plain", "must be multipart/form-data"),
        (FIELD + END, "multipart/form-data; boundary=" + "x" * 71, "must be multipart/form-data"),
        (FIELD + END, "x" * (MAX_CONTENT_TYPE + 1), "too long"),
        (b"no form at all", TYPE, "malformed|cut short"),
        (FIELD, TYPE, "cut short"),
        (b"", TYPE, "cut short"),
        (a_part(b"1", "form-data") + END, TYPE, "no name"),
        (FIELD * (MAX_PARTS + 1) + END, TYPE, f"more than {MAX_PARTS} parts"),
    ],
)
async def test_what_is_no_form_is_a_value_error(body: bytes, content_type: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        await parts_of(body, content_type=content_type)


@pytest.mark.parametrize(
    ("header", "length"),
    [({}, 0), ("", 0), ("x", 0), ("-1", 0), ("٣", 0), ("12", 12), ("9" * 30, 2**63 - 1)],
)
def test_the_stated_length_is_that_of_the_header(header: str | dict[str, str], length: int) -> None:
    headers = {"content-length": header} if isinstance(header, str) else header
    assert MultipartBody(headers, chunks_of(b"", 1)).stated_length == length
