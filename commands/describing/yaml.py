"""A document as YAML: one that has only what JSON has needs no library."""

from collections.abc import Iterator
from typing import Any

import msgspec


def as_yaml(value: Any) -> str:
    """Return a mapping, or a list, as YAML in the block style; its texts are JSON's."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    for key, item in items:
        start = "-" if key is None else f"{_scalar(key)}:"
        if not isinstance(item, dict | list) or not item:
            yield f"{start} {_scalar(item)}"
            continue
        nested = _lines(item)
        if key is None:
            yield f"- {next(nested)}"
        else:
            yield start
        yield from (f"  {line}" for line in nested)


def _scalar(value: Any) -> str:
    if isinstance(value, str) and value.isidentifier() and value.lower() not in _WORDS:
        return value
    return msgspec.json.encode(value).decode()


# Texts that YAML would read as something else.
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
