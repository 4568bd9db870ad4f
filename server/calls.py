"""A call: one request, or one open connection. Its ids, and what log lines say of it.

Clients may name a call themselves, by `X-Request-ID` and by `traceparent` (W3C Trace Context,
level 1). Each answer gives the names back, and each log line has them.
"""

import logging
import re
import secrets
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from time import perf_counter
from typing import Any

Header = tuple[bytes, bytes]

ID_BYTES = 12
# What other servers and proxies send: UUIDs, trace ids, `Root=1-67891233-abcdef`. Nothing of it can
# end a line or a header, or open a string.
_IS_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:+/=@-]{0,127}").fullmatch
# What client libraries name their operations: numbers and UUIDs.
_IS_UUID = re.compile(r"[0-9a-fA-F-]{1,36}").fullmatch
# A token that was put into the wrong header must not reach the log.
_TOKEN = b"eyJ"
_TRACE = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MAX_TRACE = 256
# A part of a path that names nothing of ours may be anything: also a token or a password.
_IS_PLAIN = re.compile(r"[A-Za-z_-]{0,32}|[0-9]{1,20}|socket\.io").fullmatch
MAX_PATH = 200
# Of one line: a client may have made many mistakes in one request.
MAX_CODES = 5

logger = logging.getLogger("parley.access")

Fields = dict[str, Any]


class Call:
    """What is known of one request or connection."""

    __slots__ = ("address", "notes", "request_id", "trace", "user")

    def __init__(self, request_id: str, trace: str = "") -> None:
        self.request_id = request_id
        self.trace = trace  # the `traceparent` that came; empty where none, or none that is valid
        self.address = ""
        self.user: int | None = None
        self.notes: Fields | None = None

    def note(self, **fields: Any) -> None:
        """Add fields to the call's log line."""
        self.notes = {**(self.notes or {}), **fields}

    def note_login(self, user: int | None, token: str | None) -> None:
        """Note who calls, or that the call's token was refused."""
        self.user = user
        if user is None and token is not None:
            self.note(token="refused")  # noqa: S106  # nosec B106  # no token

    @property
    def headers(self) -> list[Header]:
        """The headers that give the names back."""
        named = [(b"x-request-id", self.request_id.encode())]
        if self.trace:
            named.append((b"traceparent", self.trace.encode()))
        return named

    def ends(self) -> Fields:
        """Return the fields that each log line about the call ends with."""
        fields: Fields = {}
        if self.user is not None:
            fields["user"] = self.user
        if self.address:
            fields["address"] = self.address
        fields["request_id"] = self.request_id
        if self.trace:
            fields["trace_id"] = self.trace[3:35]
        return fields


# The call that is being served, and the name of its operation: each log line says both.
Serving = tuple[Call, str] | None
current: ContextVar[Serving] = ContextVar("current_call", default=None)


def call_of(scope: Mapping[str, Any]) -> Call:
    """Return the call of an ASGI scope. Its names are read when they are first asked for."""
    call: Call | None = scope.get("parley.call")
    if call is None:
        call = _read(scope["headers"])
        scope["parley.call"] = call  # type: ignore[index]  # a scope is a dict
    return call


def new_call() -> Call:
    """Return a call that nobody has named."""
    return Call(secrets.token_hex(ID_BYTES))


def _read(headers: Iterable[Header]) -> Call:
    ids = []
    traces = []
    for name, value in headers:
        if name == b"x-request-id":
            ids.append(value)
        elif name == b"traceparent":
            traces.append(value)
    trace = _trace_of(traces[0]) if len(traces) == 1 else ""
    if len(ids) == 1 and _IS_ID(ids[0]) and _TOKEN not in ids[0]:
        return Call(ids[0].decode(), trace)
    return Call(trace[3:35] or secrets.token_hex(ID_BYTES), trace)


def _trace_of(value: bytes) -> str:
    """Return a valid `traceparent` as version 00 has it; an empty text for any other."""
    found = None if len(value) > _MAX_TRACE else _TRACE.fullmatch(value)
    if found is None:
        return ""
    version, trace, parent, flags, more = found.groups()
    # Version 00 has no further parts; a later version may add some behind a dash.
    if version == b"ff" or (version == b"00" and more is not None):
        return ""
    if not trace.strip(b"0") or not parent.strip(b"0"):
        return ""
    return b"-".join((b"00", trace, parent, flags)).decode()


def shown_path(path: str, status: int | None) -> str:
    """Return a path for a log line. Of a path that led nowhere, only what looks like a word."""
    if status is not None and status >= 400:
        path = "/".join(part if _IS_PLAIN(part) else "…" for part in path[:MAX_PATH].split("/"))
    return path[:MAX_PATH]


def log_request(call: Call, method: str, path: str, status: int | None, started: float) -> None:
    """Log that a request or a connection is over. `started` is of `perf_counter`."""
    fields = {
        "method": method if method.isalpha() and len(method) < 20 else "…",
        "path": shown_path(path, status),
        "status": status,
        "ms": milliseconds_since(started),
        **(call.notes or {}),
        **call.ends(),
    }
    logger.info("%(method)s %(path)s %(status)s %(ms).1fms", fields, extra={"fields": fields})


def milliseconds_since(started: float) -> float:
    """Return how long ago `perf_counter` said this."""
    return round((perf_counter() - started) * 1000, 1)


def shown_id(id_: str) -> str:
    """Return a client's own id of something for a log line, unless it may be anything."""
    return id_ if _IS_UUID(id_) else "…"


def distinct(codes: Iterable[str]) -> list[str]:
    """Return the different error codes for a log line, not too many."""
    return [*dict.fromkeys(codes)][:MAX_CODES]
