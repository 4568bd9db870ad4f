"""The opening handshake of a WebSocket (RFC 6455 §4.2), read from a request that was parsed.

We judge and answer it ourselves. The library would parse the request a second time, with bounds
of its own, and never answers one that it dislikes (tests/server/test_handshake.py compares what
the two say of generated handshakes).
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha1

from server.protocols.refusals import Refusal

Headers = Sequence[tuple[bytes, bytes]]

# RFC 6455 §1.3.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[0-9A-Za-z+/]{22}==")  # 16 bytes
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_ONCE = (b"sec-websocket-key", b"sec-websocket-version", b"origin")
_UPGRADE = ((b"upgrade", b"websocket"), (b"connection", b"upgrade"))

HTTP_1_0 = Refusal(
    426,
    "A WebSocket needs HTTP/1.1, and this request came as HTTP/1.0: most likely by a proxy, which"
    " has to speak HTTP/1.1 to this server and pass the headers Upgrade and Connection on"
    " (nginx: proxy_http_version 1.1)",
    headers=_UPGRADE,
)
NO_UPGRADE = Refusal(
    426,
    "This looks like the handshake of a WebSocket without its header Upgrade: most likely a proxy"
    " took it away, and has to pass the headers Upgrade and Connection on",
    headers=_UPGRADE,
)
OTHER_VERSION = Refusal(
    426,
    "Only version 13 of the WebSocket protocol is spoken",
    headers=(*_UPGRADE, (b"sec-websocket-version", b"13")),
)
BEHIND_ANOTHER = Refusal(400, "A WebSocket cannot be opened while an earlier request is answered")


def tokens_of(headers: Headers, name: bytes) -> list[bytes]:
    """Return the members of a list header, in lower case, of all lines with that name."""
    values = b",".join(value for given, value in headers if given == name)
    return [token for part in values.lower().split(b",") if (token := part.strip(b" \t"))]


def asks_for_websocket(headers: Headers) -> bool:
    """Whether the request would rather go on as a WebSocket. Names are in lower case."""
    if not any(name == b"upgrade" for name, _ in headers):
        return False
    return b"websocket" in tokens_of(headers, b"upgrade") and b"upgrade" in tokens_of(
        headers, b"connection"
    )


def is_stripped(headers: Headers) -> bool:
    """Whether it is a handshake whose Upgrade got lost on the way."""
    return any(name == b"sec-websocket-key" for name, _ in headers)


def refusal_of_handshake(headers: Headers) -> Refusal | None:
    """Return what is wrong with a GET of HTTP/1.1 that asks for a WebSocket; None for nothing."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _ONCE:
            if name in found:
                return Refusal(400, f"The header {name.decode()} is there twice")
            found[name] = value.strip(b" \t")
        elif name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0"):
            return Refusal(400, "The handshake of a WebSocket has no body")
    if found.get(b"sec-websocket-version") != b"13":
        return OTHER_VERSION
    key = found.get(b"sec-websocket-key", b"")
    if _KEY.fullmatch(key) is None or len(b64decode(key)) != 16:
        return Refusal(400, "Sec-WebSocket-Key must be 16 bytes in Base64")
    if not all(map(_TOKEN.fullmatch, _offers(headers))):
        return Refusal(400, "Sec-WebSocket-Protocol must be names, separated by commas")
    return None


def proof_for(headers: Headers) -> str:
    """Return what Sec-WebSocket-Accept has to say to a sound handshake."""
    key = next(value for name, value in headers if name == b"sec-websocket-key")
    digest = sha1(key.strip(b" \t") + _GUID, usedforsecurity=False).digest()
    return b64encode(digest).decode()


def subprotocols_of(headers: Headers) -> list[str]:
    """Return those that the client offers, in its order."""
    return [token.decode("ascii") for token in _offers(headers)]


def _offers(headers: Headers) -> list[bytes]:
    offered = (value for name, value in headers if name == b"sec-websocket-protocol")
    return [
        token for value in offered for part in value.split(b",") if (token := part.strip(b" \t"))
    ]


def without_upgrade(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request whose Upgrade is not taken: as if it were not there."""
    others = [header for header in headers if header[0] not in {b"upgrade", b"connection"}]
    connection = [token for token in tokens_of(headers, b"connection") if token != b"upgrade"]
    if connection:
        others.append((b"connection", b", ".join(connection)))
    return others


def answer(proof: str, headers: Iterable[tuple[bytes, bytes]], subprotocol: str | None) -> bytes:
    """Return the response that accepts, with these headers besides."""
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + proof.encode(),
        *(name.lower() + b": " + value for name, value in headers),
    ]
    if subprotocol:
        lines.append(b"Sec-WebSocket-Protocol: " + subprotocol.encode())
    return b"\r\n".join([*lines, b"", b""])
