"""Where log lines go and how they look."""

import logging
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from server.calls import Fields, current

_encoder = msgspec.json.Encoder(enc_hook=str)


class RareWarning:
    """A warning that is logged at most once a minute, however often its cause comes."""

    SECONDS = 60.0

    def __init__(self, text: str) -> None:
        self._text = text
        self._told_at = -self.SECONDS

    def log(self, *arguments: object) -> None:
        """Log it, unless that was done within the last minute."""
        now = time.monotonic()
        if now - self._told_at >= self.SECONDS:
            self._told_at = now
            logging.getLogger("parley.server").warning(self._text, *arguments)

    def forget(self) -> None:
        """Log it again the next time: the trouble was over in between."""
        self._told_at = -self.SECONDS


class JSONFormatter(logging.Formatter):
    """A JSON object a line: time, level, logger, message, and the fields that the caller gave."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encoder.encode(line).decode()


class TextFormatter(logging.Formatter):
    """A line for a person: time in UTC, level, logger, message, and `name=value` of other fields.

    Control characters in a client's input cannot forge another line.
    """

    FORM = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        message = " ".join([record.getMessage(), *_unsaid(record)])
        message = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
        harmless = logging.makeLogRecord({**record.__dict__, "msg": message, "args": None})
        return super().format(harmless)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the time as RFC 3339 has it."""
        moment = datetime.fromtimestamp(record.created, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _fields_of(record: logging.LogRecord) -> Fields:
    """Return the record's fields; those of the call that is being served belong to every line."""
    fields: Fields = getattr(record, "fields", {})
    serving = current.get()
    if serving is None or "request_id" in fields:
        return fields
    call, operation = serving
    return {**({"operation": operation} if operation else {}), **fields, **call.ends()}


def _unsaid(record: logging.LogRecord) -> Iterator[str]:
    """Yield the fields that the message does not say itself."""
    for name, value in _fields_of(record).items():
        if f"%({name})" not in str(record.msg):
            shown = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            yield f"{name}={shown}" if shown and " " not in shown else f'{name}="{shown}"'


def configure_logs(level: str, form: Literal["text", "json"]) -> None:
    """Send every log line to standard error in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter() if form == "json" else TextFormatter(TextFormatter.FORM))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # At INFO these log each step, and requests, which the access log has already.
    for name in ("alembic", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # At DEBUG these repeat statements and bodies: hashes, passwords, what people wrote.
    for name in ("aiosqlite", "websockets", "asyncio"):
        logging.getLogger(name).setLevel(logging.INFO)
    # It logs a traceback for each connection that the database dropped; our own log has a line.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    # It repeats bodies at DEBUG, and remarks on every malformed form, which anyone may send.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    # It logs the database's warnings about our statements, which nobody needs.
    logging.getLogger("asyncmy").setLevel(logging.ERROR)
