"""Every command of docs/operate/observe.md finds what the page says, in a real server's log."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.docs.commands import commands_of
from tests.faults.processes import parleys
from tests.observed.logged import PASSWORD, register
from tests.support.ports import free_port
from tests.support.tools import require

PAGE = Path(__file__).parents[2] / "docs/operate/observe.md"

BEGINNINGS = (
    BY_ID := "grep 'request_id=",
    ERRORS := "jq -Rr 'fromjson? | .errors[]?'",
    LOGINS := "jq -Rr 'fromjson? | select(.fields ==",
    SLOW := "jq -Rr 'fromjson? | select(.statement)",
    FIGURES := "curl -s",
    CHECK := "promtool check config",
)

Run = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the page's command that begins so beside a log of requests, in the form it reads."""
    homes: dict[str, Path] = {}

    def run_one(beginning: str) -> list[str]:
        found = command(beginning)
        form = "json" if found.startswith("jq") else "text"
        if form not in homes:
            homes[form] = tmp_path_factory.mktemp(f"observe-{form}")
            _write_log(homes[form], form)
        return shell(found, homes[form])

    return run_one


def _write_log(home: Path, form: str) -> None:
    settings = {"log_format": form, "slow_sql_ms": "0.000001", "search": "off"}
    with parleys(home, 1, allowed=(), **settings) as [parley]:
        register(parley.url, "reader")
        login = 'mutation { login(email: "reader@example.com", password: "wrong-1") { token } }'
        headers = {"X-Request-ID": "5f0c2a"}
        httpx.post(f"{parley.url}/graphql", json={"query": login}, headers=headers)
        wrong = {"email": "reader@example.com", "password": "wrong-2"}
        httpx.post(f"{parley.url}/api/auth/login", json=wrong)
    log = parley.log.read_text()
    (home / "parley.log").write_text(log)
    assert PASSWORD not in log


def shell(command: str, directory: Path) -> list[str]:
    told = subprocess.run(
        ["/bin/bash", "-c", command],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert told.stderr == ""
    return told.stdout.splitlines()


def command(beginning: str) -> str:
    [found] = [found for found in commands_of(PAGE) if found.startswith(beginning)]
    require(found.split()[0])
    return found


def test_the_figures_are_where_the_page_says(tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    asks = command(FIGURES).replace("9464", str(port))
    with parleys(tmp_path, metrics_port=port, search="off"):
        lines = shell(asks, tmp_path)
    assert 'parley_connections{face="socketio",state="logged_in"} 0.0' in lines


def test_the_configuration_of_prometheus_is_sound() -> None:
    assert shell(command(CHECK), PAGE.parents[2])


def test_a_request_is_found_by_its_id(run: Run) -> None:
    [line] = [line for line in run(BY_ID) if "parley.access" in line]
    assert "fields=login" in line
    assert "errors=BAD_USER_INPUT" in line


def test_errors_are_counted(run: Run) -> None:
    assert [line.split() for line in run(ERRORS)] == [["2", "BAD_USER_INPUT"]]


def test_addresses_of_failed_logins_are_counted(run: Run) -> None:
    [line] = run(LOGINS)
    assert line.split() == ["2", "127.0.0.1"]


def test_slow_statements_are_listed(run: Run) -> None:
    lines = run(SLOW)
    assert len(lines) > 10
    assert any("mutation login" in line for line in lines)
    times = [float(line.split()[0]) for line in lines]
    assert times == sorted(times, reverse=True)


def test_no_command_of_the_page_is_left_out() -> None:
    begun = [[command.startswith(part) for part in BEGINNINGS] for command in commands_of(PAGE)]
    assert [sum(found) for found in begun] == [1] * len(BEGINNINGS)
