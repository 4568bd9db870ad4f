"""Readers that subscribe and then read nothing more, and whether their server still holds them."""

import json
import socket
from pathlib import Path

from tests.faults.wire import WATCH

RECEIVE_BUFFER = 4096
SETUP_SECONDS = 10
ESTABLISHED = "01"


def stalled_graphql(port: int, token: str) -> socket.socket:
    """Subscribe to messages over GraphQL; return the socket, unread from here on."""
    reader = _handshake(port, "/graphql", "Sec-WebSocket-Protocol: graphql-transport-ws\r\n")
    _say(reader, json.dumps({"type": "connection_init", "payload": {"token": token}}))
    _read_until(reader, b"connection_ack")
    payload = {"query": WATCH}
    _say(reader, json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
    return reader


def stalled_socketio(port: int, token: str) -> socket.socket:
    """Log in over Socket.IO; return the socket, unread from here on."""
    reader = _handshake(port, "/socket.io/?EIO=4&transport=websocket", "")
    _say(reader, "40")
    _read_until(reader, b"40{")
    _say(reader, f"42{json.dumps(['auth:login', {'token': token}])}")
    _read_until(reader, b"auth:ok")
    return reader


def held_by(server_port: int) -> set[int]:
    """The client ports of the connections that the server has open, as the system tells."""
    held = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state = line.split()[:4]
        if state == ESTABLISHED and int(local.partition(":")[2], 16) == server_port:
            held.add(int(remote.partition(":")[2], 16))
    return held


def _handshake(port: int, path: str, headers: str) -> socket.socket:
    reader = socket.socket()
    reader.settimeout(SETUP_SECONDS)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    reader.connect(("127.0.0.1", port))
    reader.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n"
        f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n{headers}"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    _read_until(reader, b"\r\n\r\n")
    return reader


def _say(reader: socket.socket, text: str) -> None:
    data = text.encode()
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    reader.sendall(b"\x81" + size + bytes(4) + data)  # a mask of zeros leaves it as it is


def _read_until(reader: socket.socket, wanted: bytes) -> None:
    got = b""
    while wanted not in got:
        part = reader.recv(1024)
        assert part, f"closed before {wanted!r}: {got!r}"
        got += part
