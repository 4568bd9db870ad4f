"""Sequences of WebSocket frames, sound and not, and what RFC 6455 and our protocol say to each."""

import json
from dataclasses import dataclass, field
from random import Random

from tests.attacks.wires import BINARY, CLOSE, PING, PONG, TEXT, client_frame

LARGEST = 1024 * 1024 + 64 * 1024  # MAX_BODY_BYTES and what the server allows beyond it
FRAMES = 6
SIZES = (*[1] * 10, *[40] * 10, 9000)
LATE = "what comes too late"
BAD_UTF8 = (
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf5\x80\x80\x80",
    b"\xc0\xaf",
    b"abc\x80",
    b"\xf0\x9f\x98",
)
GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
# §7.4: not to be sent, not defined, or out of range.
BAD_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
PROTOCOL_ERROR, BAD_DATA, TOO_LARGE = 1002, 1007, 1009


@dataclass
class Script:
    """What is sent, and what must come back: pongs, then answers, and at last perhaps a close."""

    data: bytearray = field(default_factory=bytearray)
    shown: list[str] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    answers: list[object] = field(default_factory=list)
    codes: frozenset[int] | None = None  # the close codes that are right; None: it stays open

    def add(self, what: str, frame: bytes) -> None:
        """Append a frame."""
        self.shown.append(what)
        self.data += frame

    def end(self, *codes: int) -> None:
        """Say that the server closes now, with one of these codes."""
        self.codes = frozenset(codes)


class Face:
    """What is said in text messages over one of the two WebSockets."""

    path = "/graphql"
    binary_code = 4400
    garbage_codes: tuple[int, ...] = (4400,)

    def text(self, rng: Random, script: Script) -> bytes:
        """Return a message's text; add to the script the answer it gets."""
        payload: dict[str, object] = {"n": rng.randrange(10**6)}
        if rng.random() < 0.3:
            payload["text"] = rng.choice(("ä", "€", "😀", "\u2028", "x")) * rng.choice(SIZES)
        type_ = rng.choice(("ping", "ping", "pong"))
        if type_ == "ping":
            script.answers.append({"type": "pong", "payload": payload})
        message = {"type": type_, "payload": payload}
        return json.dumps(message, ensure_ascii=rng.random() < 0.3).encode()


class SocketIOFace(Face):
    """Acknowledged events of a connection that is not logged in."""

    path = "/socket.io/?EIO=4&transport=websocket"
    binary_code = 1002
    garbage_codes = (1002,)

    def text(self, rng: Random, script: Script) -> bytes:
        """As Face."""
        number = rng.randrange(1, 10**9)
        content = rng.choice(("ä", "€", "😀", "x")) * rng.choice(SIZES)
        script.answers.append((number, "UNAUTHENTICATED"))
        event = json.dumps(["message:send", {"content": content}], ensure_ascii=rng.random() < 0.3)
        return f"42{number}{event}".encode()


def make_script(rng: Random, face: Face) -> Script:
    """Return a few sound frames, and mostly one that is not at their end."""
    script = Script()
    for _ in range(rng.randrange(FRAMES)):
        _add_sound(rng, face, script)
    if rng.random() < 0.75:
        _VIOLATIONS[rng.randrange(len(_VIOLATIONS))](rng, face, script)
        if rng.random() < 0.3:
            # By its first byte no frame of any meaning, so that nothing is owed for it.
            first = rng.choice((0x00, 0x08, 0x70, 0x83, 0xFF))
            script.add(LATE, bytes((first,)) + rng.randbytes(rng.randrange(200)))
            # A message is judged when it is handed over: broken frames behind it may be seen first.
            assert script.codes is not None
            script.codes |= {PROTOCOL_ERROR, BAD_DATA, TOO_LARGE}
    return script


def _mask(rng: Random) -> bytes:
    return rng.choice((bytes(4), rng.randbytes(4), rng.randbytes(4)))


def _control(rng: Random, script: Script) -> None:
    payload = rng.randbytes(rng.choice((0, 1, 4, 124, 125, rng.randrange(126))))
    if rng.random() < 0.7:
        script.pongs.append(payload)
        script.add(f"ping of {len(payload)}", client_frame(payload, PING, mask=_mask(rng)))
    else:
        script.add(f"pong of {len(payload)}", client_frame(payload, PONG, mask=_mask(rng)))


def _add_sound(rng: Random, face: Face, script: Script) -> None:
    if rng.random() < 0.35:
        _control(rng, script)
        return
    text = face.text(rng, script)
    pieces = _cut(rng, text, rng.choice((1, 1, 2, 3, 8)))
    for index, piece in enumerate(pieces):
        if index and rng.random() < 0.4:
            _control(rng, script)  # §5.4: between the fragments of a message
        opcode = TEXT if index == 0 else 0
        final = index == len(pieces) - 1
        script.add(
            f"{'final' if final else 'open'} {opcode} of {len(piece)}: {piece[:60]!r}",
            client_frame(piece, first=(0x80 if final else 0) | opcode, mask=_mask(rng)),
        )


def _cut(rng: Random, data: bytes, number: int) -> list[bytes]:
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(number - 1))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _reserved_bits(rng: Random, face: Face, script: Script) -> None:
    first = 0x80 | rng.choice((0x10, 0x20, 0x40, 0x70)) | rng.choice((0, 1, 2, 8, 9, 10))
    script.add(f"reserved bits {first:#x}", client_frame(b"{}", first=first, mask=_mask(rng)))
    script.end(PROTOCOL_ERROR)


def _unknown_opcode(rng: Random, face: Face, script: Script) -> None:
    opcode = rng.choice((3, 4, 5, 6, 7, 11, 12, 13, 14, 15))
    final = rng.choice((0, 0x80))
    script.add(f"opcode {opcode}", client_frame(b"{}", first=final | opcode, mask=_mask(rng)))
    script.end(PROTOCOL_ERROR)


def _unmasked(rng: Random, face: Face, script: Script) -> None:
    opcode = rng.choice((TEXT, BINARY, CLOSE, PING, PONG))
    script.add(f"unmasked {opcode}", client_frame(b"", opcode, masked=False))
    script.end(PROTOCOL_ERROR)


def _broken_control(rng: Random, face: Face, script: Script) -> None:
    opcode = rng.choice((CLOSE, PING, PONG))
    if rng.random() < 0.5:
        script.add(f"open control {opcode}", client_frame(b"", first=opcode, mask=_mask(rng)))
    else:
        size = rng.choice((126, 127, 200, 65535, 65536))
        script.add(
            f"control {opcode} of {size}", client_frame(bytes(size), opcode, mask=_mask(rng))
        )
    script.end(PROTOCOL_ERROR)


def _stray_continuation(rng: Random, face: Face, script: Script) -> None:
    script.add("stray continuation", client_frame(b"{}", first=rng.choice((0, 0x80))))
    script.end(PROTOCOL_ERROR)


def _message_in_message(rng: Random, face: Face, script: Script) -> None:
    script.add("open 1", client_frame(b"{", first=TEXT, mask=_mask(rng)))
    for _ in range(rng.randrange(3)):
        _control(rng, script)
    opcode = rng.choice((TEXT, BINARY))
    script.add(f"a new message {opcode}", client_frame(b"{}", opcode, mask=_mask(rng)))
    script.end(PROTOCOL_ERROR)


def _bad_text(rng: Random, face: Face, script: Script) -> None:
    bad = b"x" * rng.choice((0, 1, 500)) + rng.choice(BAD_UTF8)
    pieces = _cut(rng, bad, rng.choice((1, 1, 2, 3)))
    for index, piece in enumerate(pieces):
        final = 0x80 if index == len(pieces) - 1 else 0
        first = final | (TEXT if index == 0 else 0)
        script.add(f"bad UTF-8 {piece[-40:]!r}", client_frame(piece, first=first, mask=_mask(rng)))
    script.end(BAD_DATA)


def _announced_too_large(rng: Random, face: Face, script: Script) -> None:
    size = rng.choice((LARGEST + 1, 100 * 2**20, 2**31, 2**32, 2**62, 2**63, 2**64 - 1))
    opcode = rng.choice((TEXT, BINARY))
    script.add(f"{size} announced", client_frame(b"x" * 10, opcode, announced=size))
    # §5.2: the most significant bit of a length must be 0.
    script.end(*((TOO_LARGE,) if size < 2**63 else (TOO_LARGE, PROTOCOL_ERROR)))


def _too_large_in_parts(rng: Random, face: Face, script: Script) -> None:
    # Of the last fragment only the head, so that it costs little: all is announced.
    script.add("open 1 of 1000", client_frame(b" " * 1000, first=TEXT))
    size = LARGEST - rng.randrange(1000)
    script.add(f"{size} more announced", client_frame(b"", first=0x80, announced=size))
    script.end(TOO_LARGE)


def _good_close(rng: Random, face: Face, script: Script) -> None:
    if rng.random() < 0.3:
        script.add("close", client_frame(b"", CLOSE, mask=_mask(rng)))
        script.end(1005, 1000)
        return
    code = rng.choice(GOOD_CODES)
    reason = rng.choice(("", "bye", "ä" * 61, "x" * 123)).encode()
    payload = code.to_bytes(2, "big") + reason
    script.add(f"close {code}", client_frame(payload, CLOSE, mask=_mask(rng)))
    script.end(code, 1000)


def _bad_close(rng: Random, face: Face, script: Script) -> None:
    match rng.randrange(3):
        case 0:
            script.add("close of one byte", client_frame(b"\x03", CLOSE, mask=_mask(rng)))
            script.end(PROTOCOL_ERROR)
        case 1:
            code = rng.choice(BAD_CODES)
            script.add(f"close {code}", client_frame(code.to_bytes(2, "big"), CLOSE))
            script.end(PROTOCOL_ERROR)
        case _:
            payload = b"\x03\xe8" + rng.choice(BAD_UTF8)
            script.add(f"close with {payload!r}", client_frame(payload, CLOSE, mask=_mask(rng)))
            script.end(BAD_DATA, PROTOCOL_ERROR)


def _binary(rng: Random, face: Face, script: Script) -> None:
    payload = rng.randbytes(rng.choice((0, 1, 300)))
    script.add(f"binary of {len(payload)}", client_frame(payload, BINARY, mask=_mask(rng)))
    script.end(face.binary_code)


def _garbage(rng: Random, face: Face, script: Script) -> None:
    text = rng.choice(("", "x", "null", "[]", "{", '{"type": 1}', "5", "9", "4", "49", "\0", "ä"))
    script.add(f"garbage {text!r}", client_frame(text.encode(), mask=_mask(rng)))
    script.end(*face.garbage_codes)


_VIOLATIONS = (
    _reserved_bits,
    _unknown_opcode,
    _unmasked,
    _broken_control,
    _stray_continuation,
    _message_in_message,
    _bad_text,
    _announced_too_large,
    _too_large_in_parts,
    _good_close,
    _bad_close,
    _binary,
    _garbage,
)
