"""The bounds on the head of a request, and what it must contain."""

import re
from collections.abc import Sequence

from server.protocols.refusals import HEAD_TOO_LARGE, NO_HOST, NO_TUNNEL, Refusal

Header = tuple[bytes, bytes]

# From the first byte on: the request line, the header lines, the trailers, and whatever the
# chunks of a body say beside their bytes. Browsers send up to 16 KiB, mostly cookies.
MAX_HEAD_BYTES = 64 * 1024
MAX_HEADER_LINES = 128
# A line's colon, space and end; the request line's method, version, spaces and end.
LINE_BYTES = 4
# What the size line of an ordinary chunk takes, with the end of the chunk.
CHUNK_LINE_BYTES = 16

# RFC 9110 §7.2, RFC 3986 §3.2.2: a name or an address, perhaps a port; it may be empty.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(?::[0-9]*)?")


def refusal_of_head(
    method: bytes, url: bytes, headers: Sequence[Header], *, version: str, size: int
) -> Refusal | None:
    """Return what a whole head is refused with; `size` is at least as large as the head is."""
    if len(headers) > MAX_HEADER_LINES:
        return HEAD_TOO_LARGE
    if size > MAX_HEAD_BYTES:  # a body may be counted too
        lines = sum(len(name) + len(value) + LINE_BYTES for name, value in headers)
        if lines + len(url) > MAX_HEAD_BYTES:
            return HEAD_TOO_LARGE
    hosts = [value for name, value in headers if name == b"host"]
    # RFC 9112 §3.2: two may mean two servers, of which something in front saw the other one.
    if len(hosts) != 1 and (hosts or version == "1.1"):
        return NO_HOST
    if hosts and _HOST.fullmatch(hosts[0].strip(b" \t")) is None:
        return NO_HOST
    if method == b"CONNECT":
        return NO_TUNNEL
    return None


def is_too_large(size: int, lines: int) -> bool:
    """Whether a head that is still coming is beyond its bounds already."""
    return size > MAX_HEAD_BYTES or lines > MAX_HEADER_LINES
