"""What travels: Engine.IO packets and payloads, and Socket.IO packets, read strictly."""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from socketio import packet

from server.json_input import read_json

Frame = str | bytes  # one Engine.IO packet, in its websocket form

CLOSE, PING, PONG, MESSAGE, NOOP = "1", "2", "3", "4", "6"
PROBE, PROBED, UPGRADE = "2probe", "3probe", "5"

NAMESPACE = "/"  # the only one; every client is in it at most once

_SEPARATOR = "\x1e"
# Type, attachments, namespace, id, data. Only ASCII digits: `\d` and `str.isdigit` take others.
_PACKET = re.compile(r"([0-6])(?:([0-9]+)-)?(?:(/[^,]*)(?:,|\Z))?([0-9]*)(.*)", re.DOTALL)
_MAX_ATTACHMENTS = 4
_MAX_DIGITS = 15  # an id fits a JavaScript number
# As the JavaScript parser: an application must not mistake them for its own connect, disconnect…
_RESERVED = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)


class BadPacket(Exception):
    """The client broke the protocol; its connection ends, the text is for a debug log line."""


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """An event as it is sent: its Engine.IO packets and their size, shared by all receivers."""

    frames: tuple[Frame, ...]
    size: int
    texts: tuple[bytes, ...]  # the frames in UTF-8, when none is binary

    @classmethod
    def of(cls, *frames: Frame) -> "EncodedEvent":
        """Count the bytes once, not for each receiver."""
        encoded = tuple(f if isinstance(f, bytes) else f.encode() for f in frames)
        texts = () if any(isinstance(frame, bytes) for frame in frames) else encoded
        return cls(frames, sum(map(len, encoded)), texts)


def encode_payload(frames: Iterable[Frame]) -> bytes:
    """Packets as the body of a polling answer."""
    texts = (f if isinstance(f, str) else "b" + base64.b64encode(f).decode() for f in frames)
    return _SEPARATOR.join(texts).encode()


def decode_payload(body: bytes) -> list[Frame]:
    """The packets of a polling POST, however many (python-engineio drops all of them over 16)."""
    try:
        return [
            base64.b64decode(text[1:], validate=True) if text.startswith("b") else text
            for text in body.decode().split(_SEPARATOR)
        ]
    except ValueError as error:  # of either: base64's is not always binascii's own
        raise BadPacket("neither text nor base64") from error


class _Json:
    """The two functions that the library's packets ask of a JSON module."""

    @staticmethod
    def dumps(value: object, **_: object) -> str:
        return msgspec.json.encode(value).decode()

    @staticmethod
    def loads(text: str) -> Any:
        try:
            return read_json(text)
        except (ValueError, RecursionError) as error:
            raise BadPacket("broken JSON") from error


class StrictPacket(packet.Packet):  # type: ignore[misc]  # the library has no types
    """A Socket.IO packet; `decode` refuses every packet that a handler would not expect."""

    # Not by `json=`: that changes the JSON of every client and server in the process.
    json = _Json
    data: Any
    attachments: list[bytes]
    text = ""  # as it came

    def decode(self, encoded_packet: str) -> int:
        """Read it, or raise `BadPacket`; returns how many binary attachments follow."""
        self.text = encoded_packet
        match = _PACKET.fullmatch(encoded_packet)
        if match is None:
            raise BadPacket("unknown Socket.IO packet")
        kind, attachments, namespace, number, text = match.groups()
        if len(number) > _MAX_DIGITS:
            raise BadPacket("id is too long")
        self.packet_type = int(kind)
        self.namespace = (namespace or "/").partition("?")[0]
        self.id = int(number) if number else None
        self.data = self.json.loads(text) if text else None
        if not self._is_sound() or (text and self.data is None):  # a null is no payload
            raise BadPacket("wrong data for its type")
        if (attachments is not None) != self._is_binary():
            raise BadPacket("attachments without a binary type, or the other way round")
        # The length first: Python refuses to read integers of some thousand digits.
        if attachments and (len(attachments) > 1 or int(attachments) > _MAX_ATTACHMENTS):
            raise BadPacket("too many attachments")
        return int(attachments or 0)

    def _is_binary(self) -> bool:
        return self.packet_type in (packet.BINARY_EVENT, packet.BINARY_ACK)

    def _is_sound(self) -> bool:
        match self.packet_type, self.data:
            case packet.CONNECT, None | dict():
                return True
            case packet.DISCONNECT, None:
                return True
            case ((packet.EVENT | packet.BINARY_EVENT), [str(event), *_]):
                return event not in _RESERVED
            case ((packet.ACK | packet.BINARY_ACK), list()):
                return self.id is not None
        return False

    def add_attachment(self, attachment: bytes) -> bool:
        """Take one attachment; true when it was the last, and `data` is whole."""
        self.attachments.append(attachment)
        if len(self.attachments) < self.attachment_count:
            return False
        try:
            self.data = [_fill(item, self.attachments) for item in self.data]
        except RecursionError as error:
            raise BadPacket("nested too deep") from error
        return True


def _fill(value: Any, attachments: list[bytes]) -> Any:
    """Put attachments where their placeholders are (the library lets -1 and "x" through)."""
    if isinstance(value, list):
        return [_fill(item, attachments) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("_placeholder") is not True:
        return {key: _fill(item, attachments) for key, item in value.items()}
    number = value.get("num")
    if type(number) is not int or not 0 <= number < len(attachments):
        raise BadPacket("placeholder out of range")
    return attachments[number]


def encode_packet(
    kind: int, data: object = None, number: int | None = None, namespace: str = NAMESPACE
) -> EncodedEvent:
    """A Socket.IO packet, with its attachments."""
    encoded = StrictPacket(kind, data, namespace, number).encode()
    parts = encoded if isinstance(encoded, list) else [encoded]
    return EncodedEvent.of(*(MESSAGE + p if isinstance(p, str) else bytes(p) for p in parts))


def encode_event(event: str, *args: object) -> EncodedEvent:
    """An event of the default namespace, to push to many; its arguments hold no bytes."""
    return EncodedEvent.of(f"{MESSAGE}{packet.EVENT}{_Json.dumps([event, *args])}")


def encode_acknowledgement(number: int, result: object) -> EncodedEvent:
    """The acknowledgement of an event: one value without bytes, or none."""
    args = [] if result is None else [result]
    return EncodedEvent.of(f"{MESSAGE}{packet.ACK}{number}{_Json.dumps(args)}")
