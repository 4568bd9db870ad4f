"""JSON as clients in JavaScript write it: read fast, else as leniently as they mean it."""

import json
import re
import sys
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

# A megabyte of `[],` makes a million objects and holds the event loop for a second.
MAX_CONTAINERS = 10_000
MAX_VALUES = 50_000
MAX_LENIENT_VALUES = 20_000  # by Python's own decoder, ten times slower

# A string whole, what begins a list or an object, and what parts values.
_TOKENS = re.compile(r'"(?:[^"\\]+|\\.)*"?|([\[{])|,', re.DOTALL)
_TOKENS_OF_BYTES = re.compile(_TOKENS.pattern.encode(), re.DOTALL)
# Far deeper than what anybody means, and than the least that an interpreter reads.
MAX_DEPTH = 200
# Without its end too: looking for one again from each mark takes long where there is none.
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
# Each bracket as a step, and one more: a byte cannot be less than nothing.
STEPS = bytes.maketrans(b"[{]}", b"\2\2\0\0")
NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))

_decoder = msgspec.json.Decoder()


def read_json(text: bytes | str) -> Any:
    """Return what JSON says. Raises ValueError; for what is nested too deep, too.

    Half of a surrogate pair, which a client that cuts text by its length writes as an escape,
    becomes U+FFFD, as it does where a browser sends text; a number that nothing holds becomes
    the largest that something does, and is refused where it is used.
    """
    check_json(text)
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError:
        check_amount(text, MAX_LENIENT_VALUES)
        # Not left to `loads`, which would take other encodings, and surrogates unescaped.
        plain = text if isinstance(text, str) else text.decode("utf-8-sig")
        return _whole(
            json.loads(plain, parse_int=_number, parse_float=_number, parse_constant=_refuse)
        )


def check_json(text: bytes | str) -> None:
    """Raise ValueError for JSON of too many values, or nested too deeply, to be looked into."""
    check_amount(text)
    check_depth(text)


def check_amount(text: bytes | str, values: int = MAX_VALUES) -> None:
    """Raise ValueError for JSON of so many values that to read it takes long."""
    if len(text) <= MAX_CONTAINERS:
        return
    if isinstance(text, str):
        containers, commas = text.count("[") + text.count("{"), text.count(",")
    else:
        containers, commas = text.count(b"[") + text.count(b"{"), text.count(b",")
    if containers > MAX_CONTAINERS or commas > values:
        _count_outside_strings(text, values)


def _count_outside_strings(text: bytes | str, values: int) -> None:
    """As `check_amount`: a text is one value, whatever it is of."""
    tokens: Iterator[Any] = (
        _TOKENS.finditer(text) if isinstance(text, str) else _TOKENS_OF_BYTES.finditer(text)
    )
    containers = 0
    for found, token in enumerate(tokens):
        containers += token.lastindex is not None
        if containers > MAX_CONTAINERS or found > 2 * values:
            raise ValueError("it has too many values")


def check_depth(text: bytes | str) -> None:
    """Raise ValueError for JSON that is nested deeper than MAX_DEPTH.

    Interpreters differ in how deep they read: what one takes must not depend on which it is.
    """
    if len(text) <= MAX_DEPTH:
        return
    # Hardly a text has so many brackets at all.
    if isinstance(text, str):
        if text.count("[") + text.count("{") <= MAX_DEPTH:
            return
        text = text.encode(errors="replace")
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return
    brackets = STRING.sub(b"", text).translate(STEPS, NO_BRACKETS)
    if max(accumulate(step - 1 for step in brackets), default=0) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


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
