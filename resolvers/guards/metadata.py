"""Custom data of a message: JSON of the sender's making, which the server keeps and gives back."""

from sys import float_info

import msgspec

from resolvers.errors import BadInput, PayloadTooLarge

# Lists and objects within each other: a reader of any language takes so many.
MAX_DEPTH = 10
# What every JSON reader with 64 bits takes.
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1


def clean_metadata(value: object, *, max_bytes: int) -> str | None:
    """Return the JSON text of an object, with its keys in order; None for None.

    The same object is the same text, however its keys came. Raises BadInput, PayloadTooLarge.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadInput("metadata is a JSON object")
    _look_through(value, max_bytes)
    try:
        encoded = msgspec.json.encode(value, order="deterministic")
    except ValueError as error:  # half of a surrogate pair
        raise BadInput("metadata is not valid Unicode") from error
    if len(encoded) > max_bytes:
        raise _too_large(max_bytes)
    return encoded.decode()


def _look_through(value: object, max_bytes: int) -> None:
    """Refuse what is too large, too deep, or no JSON, before anything is made of it."""
    size, depth = 0, 0
    layer = [value]
    while layer:
        depth += any(isinstance(item, (dict, list)) for item in layer)
        if depth > MAX_DEPTH:
            raise BadInput(f"metadata is nested more than {MAX_DEPTH} deep")
        below: list[object] = []
        for item in layer:
            if isinstance(item, dict):
                below += [*item.keys(), *item.values()]
            elif isinstance(item, list):
                below += item
            else:
                size += _size_of(item)
        size += len(below)  # a value is a byte at least
        if size > max_bytes:
            raise _too_large(max_bytes)
        layer = below


def _size_of(item: object) -> int:
    """Return the fewest bytes that the text or number can take beyond one."""
    if isinstance(item, str):
        return len(item)
    # A number that no float holds was read as the greatest one (server/json_input.py).
    if isinstance(item, float) and not abs(item) < float_info.max:
        raise BadInput("metadata has a number that JSON has not")
    if isinstance(item, int) and not _MIN_INT <= item <= _MAX_INT:
        raise BadInput("metadata has a number of more than 64 bits")
    if not (item is None or isinstance(item, (int, float))):
        raise BadInput("metadata has a value that is no JSON")
    return 0


def _too_large(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"metadata is larger than {max_bytes} bytes as JSON", setting="MAX_METADATA_BYTES"
    )
