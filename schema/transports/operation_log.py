"""The log line of each operation over a WebSocket; over HTTP it is the request's line."""

import logging
from contextvars import Token
from time import perf_counter
from typing import Any

import msgspec

from schema.execution.errors import codes_of, with_request_id
from schema.execution.labels import Label
from schema.execution.operations import refusal
from schema.execution.plans import Result
from server.calls import Call, Serving, current, distinct, milliseconds_since, shown_id

logger = logging.getLogger("parley.operations")


class Doing(msgspec.Struct, gc=False):
    """An operation that goes on: its id on the wire, and since when."""

    id: str
    label: Label
    started_at: float
    is_logged: bool = False


class OperationLog:
    """Logs the operations of one connection; has their errors say the connection's id."""

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call = call

    def begin(self, id_: str, label: Label) -> Doing:
        """Return an operation that begins now."""
        return Doing(id_, label, perf_counter())

    def enter(self, doing: Doing) -> Token[Serving]:
        """Have log lines, also those of tasks made from here on, say the operation.

        `current.reset` takes what this returns. No context manager: each message would pay for it.
        """
        return current.set((self.call, doing.label.text))

    def told(self, doing: Doing, result: Result) -> Result:
        """Log an operation that is over; return its result for the client."""
        if "errors" not in result:
            self.end(doing)
            return result
        self.end(doing, codes_of(result))
        return with_request_id(result, self.call.request_id)

    def refused(self, doing: Doing, error: Exception) -> dict[str, Any]:
        """Log an operation that broke off; return the message that tells the client."""
        errors = self.told(doing, refusal(error))["errors"]
        return {"id": doing.id, "type": "error", "payload": errors}

    def end(self, doing: Doing, codes: list[str] | None = None) -> None:
        """Log that an operation is over, once, if that is to be logged."""
        level = logging.DEBUG if doing.label.is_frequent and not codes else logging.INFO
        if doing.is_logged or not logger.isEnabledFor(level):
            return
        doing.is_logged = True
        fields: dict[str, Any] = {
            "kind": "unknown",
            **doing.label.told,
            "ms": milliseconds_since(doing.started_at),
            "operation_id": shown_id(doing.id),
            **({"errors": distinct(codes)} if codes else {}),
            **self.call.ends(),
        }
        logger.log(level, "%(kind)s %(ms).1fms", fields, extra={"fields": fields})
