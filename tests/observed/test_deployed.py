"""The dashboard and the alert rules ask for figures that exist, in words that Prometheus reads."""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from application import create_bus, create_context
from observe.exposition import expose
from observe.families import Family, counter, histogram
from observe.figures import figures
from tests.support.server import make_settings
from tests.support.tools import require

DEPLOY = Path(__file__).parents[2] / "deploy"
# Prometheus makes these itself, or they are words of its language.
THEIRS = {"up"}
_METRIC = re.compile(r"\b(parley_\w+|process_\w+|python_\w+|up)\b(?=[{\[\s)]|$)")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every name that a server with Redis may expose, also before there is a figure."""
    settings = make_settings(tmp_path_factory.mktemp("names"), redis_url="redis://127.0.0.1:1/0")

    async def make() -> list[Family]:
        ctx = create_context(settings, create_bus(settings))
        try:
            return [*figures(ctx)]
        finally:
            ctx.passwords.close()
            await ctx.db.close()

    found = set()
    for family in asyncio.run(make()):
        ends = ("_bucket", "_count", "_sum") if family.kind == "histogram" else ("",)
        found |= {family.name + end for end in ends}
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Yield each question of the dashboard and of the alerts, with where it stands."""
    for panel in panels():
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"]
    for line in (DEPLOY / "alerts.yml").read_text().splitlines():
        if line.strip().startswith("expr:"):
            yield "alerts.yml", line.partition("expr:")[2].strip()


@pytest.mark.parametrize(("place", "expression"), list(expressions()))
def test_every_figure_that_is_asked_for_exists(
    names: set[str], place: str, expression: str
) -> None:
    asked = set(_METRIC.findall(expression))
    assert asked, place
    assert asked - THEIRS <= names


def test_every_family_is_shown_somewhere(names: set[str]) -> None:
    asked = " ".join(expression for _, expression in expressions())
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}
    left = {name for name in families if name.startswith("parley_") and name not in asked}
    assert left <= {
        "parley_build_info",
        "parley_users_connected",
        "parley_uploads_open",
        "parley_media_running",
        "parley_database_connections",
    }


def test_every_figure_is_on_the_page(names: set[str]) -> None:
    page = (DEPLOY.parent / "docs/operate/observe.md").read_text()
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}
    assert {name for name in shown if name.startswith("parley_") and name not in page} == set()


def test_panels_stand_side_by_side_and_have_ids_of_their_own() -> None:
    places = [tuple(panel["gridPos"].values()) for panel in panels()]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in panels()}) == len(places)
    assert all(x + width <= 24 for _, width, x, _ in places)


def test_promtool_reads_the_rules_and_every_question(tmp_path: Path) -> None:
    promtool = require("promtool")
    rules = tmp_path / "panels.yml"
    lines = ["groups:", "  - name: panels", "    rules:"]
    for number, (place, expression) in enumerate(expressions()):
        if place != "alerts.yml":
            asked = expression.replace("$__rate_interval", "5m").replace("$instance", ".*")
            lines += [f"      - record: panel:{number}", f"        expr: {json.dumps(asked)}"]
    rules.write_text("\n".join(lines) + "\n")
    for words in (
        ["check", "rules", str(rules)],
        ["check", "rules", str(DEPLOY / "alerts.yml")],
        ["check", "config", str(DEPLOY / "prometheus.yml")],
    ):
        told = subprocess.run([promtool, *words], capture_output=True, timeout=20, check=False)
        assert told.returncode == 0, told.stdout + told.stderr


def test_a_label_cannot_end_its_line() -> None:
    odd = 'a"b\\c\nparley_forged 1'
    text = expose([counter("x_total", "Help\nmore", {(("l", odd),): 1})])[0].decode()
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        'x_total{l="a\\"b\\\\c\\nparley_forged 1"} 1.0'
    ]


def test_a_histogram_adds_up() -> None:
    family: Family = histogram("x_seconds", "Help.", (0.1, 1.0), (2, 3, 4), 12.5)
    text = expose([family])[0].decode()
    for line in (
        'x_seconds_bucket{le="0.1"} 2.0',
        'x_seconds_bucket{le="1.0"} 5.0',
        'x_seconds_bucket{le="+Inf"} 9.0',
        "x_seconds_count 9.0",
        "x_seconds_sum 12.5",
    ):
        assert line in text.splitlines()
