"""The opening handshake of a WebSocket (RFC 6455 §4.2), as nearly all of them are.

Read and answered as the library does, without its objects, which take ten times as long: clients
come back in their thousands. The library judges whatever is odd
(tests/server/test_handshake.py compares the two on generated handshakes).
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha1

Headers = Sequence[tuple[bytes, bytes]]

# RFC 6455 §1.3.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[0-9A-Za-z+/]{22}==")  # 16 bytes
_TOKENS = re.compile(rb"[0-9A-Za-z.-]+(, ?[0-9A-Za-z.-]+)*")
_ONCE = frozenset(
    {b"connection", b"upgrade", b"sec-websocket-key", b"sec-websocket-version", b"origin"}
)


def proof_for(headers: Headers) -> str | None:
    """Return what Sec-WebSocket-Accept has to say; None where the library is to judge.

    Names are in lower case.
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _ONCE:
            if name in found:
                return None
            found[name] = value
        elif name == b"sec-websocket-protocol" and _TOKENS.fullmatch(value) is None:
            return None
    connection = found.get(b"connection", b"").lower()
    key = found.get(b"sec-websocket-key", b"")
    if (
        found.get(b"upgrade", b"").lower() != b"websocket"
        or found.get(b"sec-websocket-version") != b"13"
        or _TOKENS.fullmatch(connection) is None
        or b"upgrade" not in connection.replace(b" ", b"").split(b",")
        or _KEY.fullmatch(key) is None
        or len(b64decode(key)) != 16
    ):
        return None
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest()).decode()


def subprotocols_of(headers: Headers) -> list[str]:
    """Return those that the client offers, in its order."""
    offered = (value for name, value in headers if name == b"sec-websocket-protocol")
    return [token.strip() for value in offered for token in value.decode("ascii").split(",")]


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
