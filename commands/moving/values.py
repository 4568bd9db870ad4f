"""The older server's values, whatever its drivers and its columns' types have made of them."""

from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

# Half of what every client's JSON can hold: new ids follow, and past 2**53 JavaScript takes two
# neighbours for one.
LARGEST_ID = 2**52
# A number of seconds below the first lies before the year 5138; milliseconds, microseconds follow.
SECONDS, MILLISECONDS = 10**11, 10**14
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO = {"", "0", "false", "no", "n", "f", "off", "null"}


class Unfit(Exception):
    """The value cannot be used; the text says why."""


def read_id(value: object) -> int:
    """Return a row's id. Raises Unfit."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unfit("an id that is no whole number")
    if value <= 0:
        raise Unfit("an id of 0 or less")
    if value > LARGEST_ID:
        raise Unfit(f"an id past {LARGEST_ID}")
    return value


def read_reference(value: object) -> int | None:
    """Return the id of another row; None for NULL, 0 for what is no id."""
    if value is None:
        return None
    if isinstance(value, str | bytes):
        digits = value.decode("ascii", "replace") if isinstance(value, bytes) else value
        return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else 0
    return value if isinstance(value, int) else 0


def read_text(value: object) -> str:
    """Return a text; empty for NULL. Raises Unfit for bytes that are not UTF-8."""
    if value is None:
        return ""
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError as error:
            raise Unfit("a text that is not UTF-8") from error
    return value if isinstance(value, str) else str(value)


def read_flag(value: object) -> bool:
    """Whether a flag is set; a time is a flag that is set."""
    if isinstance(value, bytes):
        if len(value) == 1 and value not in b"01":
            return value != b"\0"  # BIT(1)
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        return value.strip().lower() not in NO and not value.startswith("0000-00-00")
    return bool(value)


def read_time(value: object, zone: tzinfo) -> datetime | None:
    """Return a moment in UTC; None for what is none, or lies before 1970."""
    try:
        moment = _moment(value, zone)
    except (ValueError, OverflowError, ArithmeticError):
        return None
    return None if moment is None or moment < EPOCH else moment


def _moment(value: object, zone: tzinfo) -> datetime | None:
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, str):
        value = _number_or_iso(value.strip())
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return EPOCH + timedelta(microseconds=_microseconds(value))


def _number_or_iso(written: str) -> float | datetime:
    try:
        return float(written)
    except ValueError:
        return datetime.fromisoformat(written)


def _microseconds(number: float | Decimal) -> int:
    if number < SECONDS:
        return round(number * 1_000_000)
    return round(number * 1_000) if number < MILLISECONDS else round(number)
