"""JSON as clients in JavaScript write it: read fast, else as leniently as they mean it."""

import json
import re
import sys
from itertools import accumulate
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

# A megabyte of `[],` makes a million objects and holds the event loop for a second.
MAX_CONTAINERS = 10_000
MAX_VALUES = 50_000
MAX_LENIENT_VALUES = 20_000  # by Python's own decoder, ten times slower

# A whole string, the beginning of a list or an object, or a comma.
_TOKENS = re.compile(rb'"(?:[^"\\]+|\\.)*"?|([\[{])|,', re.DOTALL)
# Far deeper than any client means, and less deep than every interpreter reads.
MAX_DEPTH = 200
# Also a string without its end: looking for the end again from each mark would take long.
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
# Each bracket as a step up or down, and 1 more: a byte cannot be negative.
STEPS = bytes.maketrans(b"[{]}", b"\2\2\0\0")
NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))

_decoder = msgspec.json.Decoder()


def read_json(text: bytes | str) -> Any:
    """Return what JSON says. Raises ValueError, also for too many values or too deep nesting.

    Half of a surrogate pair becomes U+FFFD, as where a browser sends text: clients that cut text by
    its length write such a half as an escape. A number that is too large becomes the largest that a
    float holds, and is refused where it is used.
    """
    check_json(text)
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError:
        check_amount(_encoded(text), MAX_LENIENT_VALUES)
        # Not left to `loads`, which would take other encodings, and surrogates unescaped.
        plain = text if isinstance(text, str) else text.decode("utf-8-sig")
        return _whole(
            json.loads(plain, parse_int=_number, parse_float=_number, parse_constant=_refuse)
        )


def check_json(text: bytes | str) -> None:
    """Raise ValueError for JSON of too many values, or nested too deeply, to be looked into."""
    if len(text) > MAX_DEPTH:
        text = _encoded(text)
        check_depth(text)
        check_amount(text)


def check_amount(text: bytes, values: int = MAX_VALUES) -> None:
    """Raise ValueError for JSON of so many values that reading it takes long.

    A string is one value, whatever it contains.
    """
    if len(text) <= MAX_CONTAINERS:
        return
    containers, commas = text.count(b"[") + text.count(b"{"), text.count(b",")
    if containers <= MAX_CONTAINERS and commas <= values:
        return
    containers = 0
    for found, token in enumerate(_TOKENS.finditer(text)):
        containers += token.lastindex is not None
        if containers > MAX_CONTAINERS or found > 2 * values:
            raise ValueError("it has too many values")


def check_depth(text: bytes | str) -> None:
    """Raise ValueError for JSON that is nested deeper than MAX_DEPTH.

    Interpreters differ in how deep they read: what is accepted must not depend on the interpreter.
    """
    text = _encoded(text)
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:  # nearly always
        return
    brackets = STRING.sub(b"", text).translate(STEPS, NO_BRACKETS)
    if max(accumulate(step - 1 for step in brackets), default=0) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def _encoded(text: bytes | str) -> bytes:
    return text.encode(errors="replace") if isinstance(text, str) else text


def read_json_as(text: bytes | str, kind: type[T]) -> T:
    """As `read_json`, for what must be of a type. Raises msgspec.ValidationError too."""
    return msgspec.convert(read_json(text), kind)


def _number(digits: str) -> int | float:
    if len(digits) < 100 and digits.lstrip("-").isdigit():
        return int(digits)
    return max(-sys.float_info.max, min(float(digits), sys.float_info.max))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(item) for name, item in value.items()}
    return value
