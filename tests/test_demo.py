"""The demo: people who have talked already, apart from the operator's own data."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands.demo import demo_settings
from commands.demo_files import lake, portrait, tune
from commands.demo_story import PASSWORD
from settings import Settings
from tests.support.daemon import Daemon

MAIN = Path(__file__).parent.parent / "main.py"
LIST = """
{ conversations(first: 10) { nodes { kind title unreadCount peer { displayName avatarUrl }
  messages(last: 10) { nodes { kind content replyToId reactions { emoji }
    attachment { waveform durationMs width thumbnailUrl } } } } } }"""


class Demo(Daemon):
    """`main.py demo` as somebody starts it."""

    def command(self) -> list[str]:
        """The command line."""
        return [sys.executable, str(MAIN), "demo", "--port", str(self.port), "--open"]

    def answers(self) -> bool:
        """Whether its people have talked."""
        return "The demo is ready" in self.log.read_text()

    def environment(self) -> dict[str, str]:
        """A database that the demo must leave alone."""
        browser = self.directory / "browser"
        browser.write_text(f'#!/bin/sh\necho "$1" >> {self.directory}/opened\n')
        browser.chmod(0o700)
        ours = {"DATABASE_URL": "sqlite:///operator.db", "BCRYPT_ROUNDS": "4"}
        ours["BROWSER"] = str(browser)
        return {**os.environ, **ours}

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{self.host}:{self.port}"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    daemon = Demo(tmp_path_factory.mktemp("demo"))
    daemon.start()
    yield daemon
    daemon.stop()


def log_in(demo: Demo, name: str) -> str:
    body = {"email": f"{name}@example.com", "password": PASSWORD}
    answer = httpx.post(f"{demo.url}/api/auth/login", json=body)
    return str(answer.json()["token"])


def query(demo: Demo, name: str, document: str) -> Any:
    headers = {"Authorization": f"Bearer {log_in(demo, name)}"}
    return httpx.post(f"{demo.url}/graphql", json={"query": document}, headers=headers).json()


def test_alice_finds_a_group_pictures_a_voice_note_and_what_is_unread(demo: Demo) -> None:
    nodes = query(demo, "alice", LIST)["data"]["conversations"]["nodes"]
    by_name = {node["title"] or node["peer"]["displayName"]: node for node in nodes}
    assert {*by_name} == {"Bob", "Carol", "Weekend at the lake"}
    assert by_name["Carol"]["unreadCount"] == 2
    assert by_name["Bob"]["unreadCount"] == 0
    assert by_name["Bob"]["peer"]["avatarUrl"]
    said = by_name["Bob"]["messages"]["nodes"]
    kinds = {message["kind"] for message in said}
    assert kinds == {"TEXT", "IMAGE", "VOICE", "EMOJI"}
    [note] = [message["attachment"] for message in said if message["kind"] == "VOICE"]
    assert note["durationMs"] > 3000
    assert len({*note["waveform"]}) > 10
    [picture] = [message for message in said if message["kind"] == "IMAGE"]
    assert picture["attachment"]["thumbnailUrl"]
    assert [reaction["emoji"] for reaction in picture["reactions"]] == ["😍"]
    assert any(message["replyToId"] for message in said)


def test_it_says_how_to_be_two_of_them(demo: Demo) -> None:
    printed = demo.log.read_text()
    for name in ("alice", "bob", "carol"):
        assert f"http://localhost:{demo.port}/?as={name} " in printed
        assert f"{name}@example.com" in printed
    assert PASSWORD in printed
    assert "demo --socketio" in printed
    opened = demo.directory / "opened"
    until(lambda: opened.exists() and opened.read_text().count("\n") == 2)
    assert opened.read_text().splitlines() == [
        f"http://localhost:{demo.port}/?as={name}" for name in ("alice", "bob")
    ]
    page = httpx.get(f"{demo.url}/?as=alice", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    demo.start()
    before = query(demo, "bob", LIST)
    demo.stop()
    demo.log.unlink()
    demo.start()
    try:
        assert _without_addresses(query(demo, "bob", LIST)) == _without_addresses(before)
    finally:
        demo.stop()
    assert not (tmp_path / "operator.db").exists()


def test_carol_speaks_socket_io_in_a_terminal(demo: Demo) -> None:
    done = subprocess.run(
        [*demo.command()[:-1], "--socketio"],
        cwd=demo.directory,
        input="Alise: a mistyped name\nAlice: from the terminal\nfrom Carol to all\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "You are Carol" in done.stdout
    assert "Nobody is called Alise. There are: Alice, " in done.stdout
    found = query(demo, "alice", "{ messages(last: 3) { nodes { content receiverId } } }")
    said = [(m["content"], m["receiverId"]) for m in found["data"]["messages"]["nodes"]]
    assert said[1:] == [("from the terminal", "1"), ("from Carol to all", None)]
    assert "mistyped" not in said[0][0]


def test_the_terminal_says_in_one_line_that_there_is_no_demo(tmp_path: Path) -> None:
    done = _run(tmp_path, "demo", "--socketio", "--port", "1")
    assert done.returncode == 1
    assert done.stderr.strip() == "No demo answers on port 1: start `python main.py demo` first"


def test_it_is_not_served_in_production(tmp_path: Path) -> None:
    done = _run(tmp_path, "demo", ENV="production", JWT_SECRET="Zq3vX9tLk2Rw8Yp5Nb7Mc4Hd6Jf1Gs0A")
    assert done.returncode == 1
    assert "known passwords" in done.stderr
    assert not (tmp_path / "data").exists()


def test_it_says_nothing_to_another_server_that_has_its_port(tmp_path: Path) -> None:
    """Else that one would have accounts with known passwords."""
    asked: list[str] = []

    class Other(BaseHTTPRequestHandler):
        """Is ready, as the operator's own server is."""

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        done = _run(tmp_path, "demo", "--port", str(other.server_port))
        other.shutdown()
    assert done.returncode == 1
    assert "Address already in use" in done.stderr
    assert asked == []


def test_it_shares_nothing_and_only_this_machine_reaches_it() -> None:
    operators = Settings(
        _env_file=None,
        database_url="mysql://parley:secret@db/parley",
        redis_url="redis://cache",
        storage_url="s3://bucket/files",
        data_dir=Path("/srv/parley"),
        workers=4,
    )
    settings = demo_settings(operators, "127.0.0.1")
    assert settings.database == "sqlite+aiosqlite:////srv/parley/demo/parley.db"
    assert settings.storage == "file:///srv/parley/demo/files"
    assert (settings.redis, settings.workers, settings.host) == (None, 1, "127.0.0.1")


def test_its_files_are_what_they_say() -> None:
    assert lake().startswith(b"\xff\xd8")
    assert portrait((1, 2, 3)).startswith(b"\x89PNG")
    assert tune()[:4] == b"RIFF"
    assert max(map(len, (lake(), portrait((1, 2, 3)), tune()))) < 200_000


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another process does; the test's time-out is the limit."""
    while not holds():
        time.sleep(0.05)


def _run(directory: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(MAIN), *words],
        cwd=directory,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _without_addresses(answer: Any) -> Any:
    """Leave out the signed addresses, which are others each hour."""
    for conversation in answer["data"]["conversations"]["nodes"]:
        for message in conversation["messages"]["nodes"]:
            (message["attachment"] or {}).pop("thumbnailUrl", None)
    return answer
