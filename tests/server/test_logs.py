"""Log lines: one for each record, whoever chose its words."""

import logging

import msgspec

from server.logs import JSONFormatter, TextFormatter


def record(message: str, *, error: bool = False) -> logging.LogRecord:
    try:
        raise ValueError("why\nin two lines")
    except ValueError as raised:
        info = (type(raised), raised, raised.__traceback__) if error else None
    return logging.LogRecord("parley.access", logging.INFO, "", 0, message, None, info)


def test_nobody_forges_a_line() -> None:
    forged = "GET /x\n12:00:00 INFO parley.access FORGED\x1b[31m\u2028"
    line = TextFormatter("%(message)s").format(record(forged))
    assert line.splitlines() == [r"GET /x\n12:00:00 INFO parley.access FORGED\x1b[31m\u2028"]
    assert "\n" not in JSONFormatter().format(record(forged))


def test_a_traceback_follows_its_line() -> None:
    first, *rest = TextFormatter("%(message)s").format(record("it failed", error=True)).splitlines()
    assert first == "it failed"
    assert rest[0].startswith("Traceback")
    shown = msgspec.json.decode(JSONFormatter().format(record("it failed", error=True)))
    assert "why\nin two lines" in shown["exception"]
