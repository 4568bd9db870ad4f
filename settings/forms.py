"""The forms in which people write the value of a setting: rates, sizes, times, choices."""

import re
from typing import Annotated, Literal, NamedTuple, get_args, get_origin

import limits
from pydantic import BeforeValidator
from pydantic_settings import NoDecode

# A window keeps an entry for each call until it has passed: both bounds bound its memory.
MAX_RATE_AMOUNT = 10_000
MAX_RATE_SECONDS = 30 * 24 * 3600


class Rate(NamedTuple):
    """`amount` calls in any window of `seconds`."""

    amount: int
    seconds: int


def read_rate(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        [item] = limits.parse_many(value)
    except ValueError as error:
        raise ValueError("must be a rate such as 50/5seconds or 10/hour") from error
    rate = Rate(item.amount, item.get_expiry())
    if not (1 <= rate.amount <= MAX_RATE_AMOUNT and 1 <= rate.seconds <= MAX_RATE_SECONDS):
        raise ValueError(f"must be 1 to {MAX_RATE_AMOUNT} in at most 30 days")
    return rate


# Sizes and times as people write them: 25MB, 64 KiB, 7d, 1.5h. K, M and G are powers of 1,024.
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt])(?:i?b)?", re.IGNORECASE)
_TIME = re.compile(
    r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)(?:ec|econds?|inutes?|ours?|ays?|eeks?)?", re.I
)
_BYTE_RATE = re.compile(r"(\d{1,12}|\d{1,12}(?:\.\d+)?\s*[kmgt](?:i?b)?)\s*/(.+)", re.IGNORECASE)
MIN_BYTE_RATE = 1024
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SYNONYMS = {"warn": "warning", "critical": "error", "fatal": "error", "trace": "debug"}
_SYNONYMS |= {"dev": "development", "prod": "production", "verbose": "debug"}


def split(value: str) -> tuple[str, ...]:
    """Return the words of a list with commas."""
    return tuple(word for part in value.split(",") if (word := part.strip()))


# The words for yes and no, beside pydantic's own for settings that take nothing else.
_YES = frozenset({"1", "true", "yes", "y", "on", "t", "enabled", "enable"})
_NO = frozenset({"0", "false", "no", "n", "off", "f", "disabled", "disable", "none"})


def unquoted(value: str) -> str:
    """Return a value without the quotes that `docker run --env-file` leaves around it."""
    value = value.strip()
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1].strip() if is_quoted else value


def _yes_or_no(word: str, known: dict[str, str]) -> str | None:
    """Return the choice that a word for yes or no means; None where it means none, or several."""
    if "off" not in known:
        return None
    if word in _NO:
        return known["off"]
    others = [choice for choice in known if choice != "off"]
    return known[others[0]] if word in _YES and len(others) == 1 else None


def plain(name: str, annotation: object, value: str) -> str:
    """Return the text of a setting in the form that its type reads.

    A text in no known form stays as it is: the type refuses it.
    """
    value = unquoted(value)
    word = value.lower()
    if get_origin(annotation) is Literal:
        known = {str(choice).lower(): str(choice) for choice in get_args(annotation)}
        meant = known.get(word, known.get(_SYNONYMS.get(word, "")))
        return meant or _yes_or_no(word, known) or value
    if annotation in (bool, bool | None):
        return "true" if word in _YES else "false" if word in _NO else value
    if (name.endswith("_bytes") or name == "storage_per_user") and (size := _SIZE.fullmatch(value)):
        return str(int(float(size[1]) * 1024 ** ("kmgt".index(size[2].lower()) + 1)))
    if name.endswith("_seconds") and (time := _TIME.fullmatch(value)):
        seconds = float(time[1]) * _SECONDS[time[2].lower()]
        return str(int(seconds) if seconds.is_integer() else seconds)
    return value


def read_byte_rate(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _BYTE_RATE.fullmatch(value.strip())
    if found is None:
        raise ValueError("must be a rate of bytes such as 1GB/hour or 500MB/10minutes")
    amount = int(plain("rate_bytes", int, found[1]))
    window = read_rate(f"1/{found[2].strip()}")
    if amount < MIN_BYTE_RATE or not isinstance(window, Rate):
        raise ValueError("must be at least 1KB")
    return Rate(amount, window.seconds)


def read_mode(value: object) -> object:
    if not isinstance(value, str):
        return value
    if re.fullmatch("0?[0-7]{3}", value.strip()) is None:
        raise ValueError("must be an octal mode such as 660")
    return int(value, 8)


ModeSetting = Annotated[int, NoDecode, BeforeValidator(read_mode)]
RateSetting = Annotated[Rate, NoDecode, BeforeValidator(read_rate)]
ByteRateSetting = Annotated[Rate, NoDecode, BeforeValidator(read_byte_rate)]
