"""Slow statements are logged with their operation, and without anything that was stored."""

import re
from pathlib import Path

import httpx
import pytest

from db.engines.statement_times import without_values
from tests.observed.logged import PASSWORD, logging_server, register

CONTENT = "marker-content-90de"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "SELECT a FROM b WHERE c = ? AND d IN (?, ?,\n ?)",
            "SELECT a FROM b WHERE c = ? AND d IN (?)",
        ),
        ("SELECT 1 FROM t WHERE id IN (17, 18, 19.5)", "SELECT ? FROM t WHERE id IN (?)"),
        ("INSERT INTO t (a, b) VALUES (1,'it''s', 2)", "INSERT INTO t (a, b) VALUES (?,"),
        (r"INSERT INTO t VALUES ('it\'s', 'secret')", "INSERT INTO t VALUES ("),
        ('UPDATE t SET a = "secret"', "UPDATE t SET a ="),
        ("SELECT " + "a, " * 500, ("SELECT " + "a, " * 500)[:300] + "…"),
    ],
)
def test_a_statement_is_shown_without_values(text: str, shown: str) -> None:
    assert without_values(text) == shown


def test_slow_statements_are_logged_with_their_operation(tmp_path: Path) -> None:
    with logging_server(tmp_path, slow_sql_ms="0.000001") as server:
        id_, token = register(server.url, "slow")
        headers = {"Authorization": f"Bearer {token}", "X-Request-ID": "s-1"}
        arguments = f'content: "{CONTENT}", clientMessageId: "marker-key"'
        send = f"mutation {{ sendMessage({arguments}) {{ id }} }}"
        for query in (send, "query Talks { conversations { nodes { id } } }"):
            answer = httpx.post(f"{server.url}/graphql", json={"query": query}, headers=headers)
            assert "errors" not in answer.json()
        slow = [line for line in server.lines if "statement" in line]
        log = server.parley.log.read_text()
    reads = [line for line in slow if line.get("operation") == "query conversations"]
    assert reads
    assert {(line["request_id"], line["user"]) for line in reads} == {("s-1", id_)}
    assert all(line["level"] == "WARNING" and line["ms"] > 0 for line in reads)
    # The log stores what many operations send, in a task of its own.
    assert any(line["task"] == "message-log" for line in slow)
    assert all(re.fullmatch(r"[^'\"]*", line["statement"]) for line in slow)
    for secret in (CONTENT, "marker-key", PASSWORD, "slow@example.com", "$2b$"):
        assert secret not in log


def test_no_statement_is_logged_without_the_setting(tmp_path: Path) -> None:
    with logging_server(tmp_path, slow_sql_ms="0") as server:
        register(server.url, "quick")
        assert not [line for line in server.lines if "statement" in line]
