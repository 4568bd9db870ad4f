"""How much is thrown at the servers, and a summary of what they stood."""

import os
from collections.abc import Callable

import pytest

LONG = os.environ.get("ATTACKS") == "long"

Report = Callable[[str], None]

_STOOD = "stood"


def times(short: int, long: int) -> int:
    """How often, in the short form and with ATTACKS=long."""
    return long if LONG else short


SECONDS = times(240, 900)  # for one test: a hang is a failure


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Add a line to the summary at the end of the run, from whichever process runs the test."""
    return lambda text: request.node.user_properties.append((_STOOD, text))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was stood."""
    lines = [
        f"{report.nodeid.rpartition('::')[2]}: {text}"
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, text in report.user_properties
        if name == _STOOD
    ]
    if lines:
        terminalreporter.section("attacks stood")
        for line in lines:
            terminalreporter.write_line(line)
