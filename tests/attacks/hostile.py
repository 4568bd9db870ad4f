"""Values that programs trip over: texts, numbers, JSON and bytes."""

import json
from random import Random
from typing import Any

TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "x" * 300,
    "x" * 20_000,
    "é" * 129,
    "😀",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "\u202e\u2066abc",
    "\ud800",
    "a\udfffb",
    "\ufeff",
    "\u2028\r\n\t\x1b[31m",
    "'; DROP TABLE users; --",
    "%' OR 1=1 -- _\\",
    "../../../../etc/passwd",
    "%00%2e%2e%2f",
    "{{7*7}}${7*7}%s%n",
    "<script>alert(1)</script>",
    "null",
    "true",
    "__proto__",
    "_placeholder",
    "0",
    "-1",
    "1",
    "2",
    "3",
    "01",
    "1 ",
    "+1",
    "1e30",
    "1.0",
    "0x10",
    "١٢",
    "９",
    "9" * 19,
    "9" * 20,
    "9" * 400,
    str(2**63 - 1),
    str(2**63),
    "NaN",
    "-Infinity",
    "someone@example.com",
    "A@B",
    "a" * 250 + "@example.com",
    "123456",
    "TEXT",
    "image",
)
NUMBERS: tuple[Any, ...] = (
    0,
    1,
    2,
    3,
    -1,
    200,
    201,
    2**31 - 1,
    2**31,
    2**53,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**400,
    0.5,
    1.0,
    -0.0,
    1e300,
)
NAMES = (
    *("email", "password", "displayName", "content", "toUserId", "receiverId", "kind"),
    *("attachmentId", "clientMessageId", "token", "after", "type", "id", "payload", "query"),
    *("variables", "operationName", "extensions", "_placeholder", "num", "to_user_id"),
)
BROKEN_JSON = (
    b"",
    b"null",
    b"true",
    b"7",
    b'"x"',
    b"[]",
    b"{",
    b'{"a"',
    b"{'a': 1}",
    b'{"a": 1} x',
    b'{"a": NaN}',
    b'{"a": 01}',
    b'{"a": "\xff"}',
    b'{"\xed\xa0\x80": 1}',
    b'{"a": "\\ud800"}',
    b'{"a": "\\ud800\\u0041"}',
    b'{"a": "\\u0000"}',
    b'{"a": "raw \0"}',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b"[" * 5_000,
    b"[" * 900 + b"]" * 900,
    b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    b'{"a": ' + b"9" * 6_000 + b"}",
    b'{"a": 1e' + b"9" * 300 + b"}",
    b'{"a": -' + b"0." + b"1" * 3_000 + b"}",
)


def text(rng: Random) -> str:
    """Return one text."""
    if rng.random() < 0.1:
        return "".join(chr(rng.randrange(1, 0x3000)) for _ in range(rng.randrange(12)))
    return rng.choice(TEXTS)


def number(rng: Random) -> Any:
    """Return one number."""
    return rng.choice(NUMBERS)


def value(rng: Random, depth: int = 3) -> Any:
    """Return whatever JSON can hold."""
    kind = rng.random()
    if kind < 0.45:
        return text(rng)
    if kind < 0.7:
        return number(rng)
    if kind < 0.8 or depth == 0:
        return rng.choice((None, True, False))
    if kind < 0.9:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice((*NAMES, text(rng))): value(rng, depth - 1) for _ in range(rng.randrange(4))}


def encoded(rng: Random, said: object) -> bytes:
    """Return it as JSON, mostly; else as something that nearly is."""
    if rng.random() < 0.1:
        return rng.choice(BROKEN_JSON)
    plain = json.dumps(said, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return mutated(rng, plain) if rng.random() < 0.3 else plain


def mutated(rng: Random, data: bytes) -> bytes:
    """Return the data with a few bytes wrong, missing, doubled or moved."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        size = len(changed)
        at = rng.randrange(size + 1)
        match rng.randrange(6):
            case 0 if at < size:
                changed[at] = rng.randrange(256)
            case 1:
                changed[at:at] = rng.randbytes(rng.randrange(1, 5))
            case 2:
                del changed[at : at + rng.randrange(1, 9)]
            case 3:
                changed[at:at] = changed[at : at + rng.randrange(1, 40)]
            case 4:
                changed[at:at] = rng.choice((b'"', b"{", b"}", b"\\", b"\0", b"\r\n", b",", b":"))
            case _:
                del changed[at:]
    return bytes(changed)
