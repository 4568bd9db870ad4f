"""The command line, as a person and an operator meet it: real processes, real signals."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from commands import command_line
from main import main, parley
from settings import Settings
from tests.db.rows import expect_dense, open_database
from tests.support.inbox import Inbox
from tests.support.ports import free_port
from tests.support.tools import AS_INSTALLED

ROOT = Path(__file__).parent.parent
PASSWORD = "a password that nobody may read"
START_SECONDS = 30
STOP_SECONDS = 10
# uvicorn stops cleanly, then ends by the signal that it was sent.
CLEAN = {0, -signal.SIGTERM}


def _environment(directory: Path, **settings: str) -> dict[str, str]:
    """A clean one, with the tests' usual settings; the directory has no .env."""
    ours = {name.upper() for name in Settings.model_fields}
    clean = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    quick = {"HOST": "127.0.0.1", "BCRYPT_ROUNDS": "4", "DATA_DIR": str(directory / "data")}
    return {**clean, "PYTHONWARNINGS": "error", **AS_INSTALLED, **quick, **settings}


def _run(directory: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore:'crypt'", str(ROOT / "main.py"), *words],
        cwd=directory,
        env=_environment(directory, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Served:
    """A serving process, what it prints, and how to reach it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, directory: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.ws_url = f"ws://127.0.0.1:{port}/graphql"
        self.directory = directory

    @property
    def printed(self) -> str:
        """Everything it printed so far."""
        return (self.directory / "printed").read_text()

    @property
    def logged(self) -> str:
        """Everything it logged so far."""
        return (self.directory / "logged").read_text()

    async def stop(self) -> float:
        """Send SIGTERM and return how long the end took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        return time.monotonic() - started


@asynccontextmanager
async def _serving(directory: Path, *words: str, **settings: str) -> AsyncIterator[Served]:
    port = free_port()
    with (directory / "printed").open("wb") as out, (directory / "logged").open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore:'crypt'", str(ROOT / "main.py"), "serve"),
            *(f"--port={port}", *words),
            cwd=directory,
            env=_environment(directory, **settings),
            stdout=out,
            stderr=err,
        )
    served = Served(process, port, directory)
    try:
        async with httpx.AsyncClient(base_url=served.url) as http:
            deadline = time.monotonic() + START_SECONDS
            while True:
                assert process.returncode is None, served.logged
                assert time.monotonic() < deadline, served.logged
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get("/ready")).status_code == 200:
                        break
                await asyncio.sleep(0.05)
        yield served
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _account(served: Served) -> tuple[int, str]:
    """Register somebody; return the id and a token."""
    async with httpx.AsyncClient(base_url=served.url) as http:
        body = {"email": "zoe@example.com", "password": PASSWORD, "displayName": "Zoë"}
        registered = await http.post("/api/auth/register", json=body)
        login = await http.post("/api/auth/login", json=body)
    return registered.json()["userId"], login.json()["token"]


@asynccontextmanager
async def _graphql(served: Served, token: str) -> AsyncIterator[ClientConnection]:
    async with connect(served.ws_url, subprotocols=["graphql-transport-ws"]) as ws:  # type: ignore[list-item]  # a NewType of str
        payload = {"authorization": f"Bearer {token}"}
        await ws.send(msgspec.json.encode({"type": "connection_init", "payload": payload}).decode())
        assert msgspec.json.decode(await ws.recv())["type"] == "connection_ack"
        yield ws


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--help"], {"serve", "migrate", "schema"}),
        (["serve", "--help"], {"--host", "--port", "--workers", "PORT, 3000"}),
        (["migrate", "--help"], {"--check"}),
        (["schema", "--help"], {"usage"}),
    ],
)
def test_help_is_there(
    capsys: pytest.CaptureFixture[str], words: list[str], said: set[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert {word for word in said if word not in printed} == set()


@pytest.mark.parametrize("words", [[], ["sing"], ["serve", "--port", "many"], ["migrate", "x"]])
def test_wrong_words_are_answered_with_the_usage(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "usage: main.py" in capsys.readouterr().err


def test_the_installed_command_is_called_parley(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/parley", "sing"])
    with pytest.raises(SystemExit):
        parley()
    assert "usage: parley" in capsys.readouterr().err
    assert command_line() == "parley"


def test_schema_prints_the_committed_schema_and_needs_no_settings(tmp_path: Path) -> None:
    done = _run(tmp_path, "schema", PORT="no port")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (ROOT / "schema" / "schema.graphql").read_text().strip()
    assert not (tmp_path / "data").exists()


async def test_migrate_makes_the_tables_and_checks_them(tmp_path: Path, database_url: str) -> None:
    done = await asyncio.to_thread(_run, tmp_path, "migrate", "--check", DATABASE_URL=database_url)
    assert done.returncode == 0, done.stderr
    database = open_database(database_url)
    assert await expect_dense(database) == []
    await database.close()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PORT": "many"}, "PORT: "),
        ({"ENV": "production", "JWT_SECRET": "hidden"}, "JWT_SECRET is shorter than 32 bytes"),
        ({"DATABASE_URL": "postgres://u:hidden@h/db"}, "DATABASE_URL: "),
        ({"DATABASE_URL": "mysql://u:hidden@h:port/db"}, "DATABASE_URL: "),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in _environment(tmp_path, **settings).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        main(["serve"])
    assert said in str(end.value.code)
    assert "hidden" not in str(end.value.code)


def test_several_processes_without_redis_are_refused_in_a_line(tmp_path: Path) -> None:
    _expect_a_clear_end(_run(tmp_path, "serve", "--workers", "2"), "set REDIS_URL")


@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_a_database_that_is_away_is_said_in_a_line(tmp_path: Path, command: str) -> None:
    url = f"mysql://u:hidden@127.0.0.1:{free_port()}/db"
    _expect_a_clear_end(_run(tmp_path, command, DATABASE_URL=url), "Can't connect to MySQL server")


def test_a_port_in_use_is_said_in_a_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        _expect_a_clear_end(_run(tmp_path, "serve", PORT=str(port)), "Address already in use")


def _expect_a_clear_end(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert done.returncode not in {0, None}
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "hidden" not in done.stdout + done.stderr


async def test_serve_first_says_where_everything_is(tmp_path: Path) -> None:
    async with _serving(tmp_path) as served:
        for line in (
            f"Playground  {served.url}/graphql",
            served.ws_url,
            f"REST        {served.url}/api",
            f"Socket.IO   {served.url}",
            "SQLite, ",
        ):
            assert line in served.printed
        assert "OFF" not in served.printed
        assert "LIMITS" not in served.logged
        assert "No JWT_SECRET is set: made one and kept it in" in served.logged
        assert await served.stop() < STOP_SECONDS
        assert served.process.returncode in CLEAN
        assert "Traceback" not in served.logged


async def test_serve_says_that_nothing_is_limited(tmp_path: Path) -> None:
    async with _serving(tmp_path, LIMITS="off") as served:
        assert "Limits      OFF: for load tests only" in served.printed
        assert served.logged.count("LIMITS=off: anyone may try passwords") == 1


async def test_json_logs_are_json_and_tell_no_secret(tmp_path: Path) -> None:
    settings = {"LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG"}
    async with _serving(tmp_path, **settings) as served:
        user_id, token = await _account(served)
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=served.url, headers=headers) as http:
            content = "what people write is theirs"
            body: dict[str, Any] = {"content": content, "toUserId": user_id}
            assert (await http.post("/api/messages/send", json=body)).status_code == 201
            assert (await http.post("/api/messages/send", data=body)).status_code == 201
            await http.get("/api/messages", params={"limit": 1, "secret": "in the query"})
            await http.get("/no/such%0apath\u2028", params={"token": token})
            await http.post("/graphql", json={"query": "{ me { id } }"})
            await http.post("/api/auth/login", json={"email": "a@b.c", "password": PASSWORD + "!"})
        async with _graphql(served, token):
            pass
        await served.stop()
        lines = [msgspec.json.decode(line) for line in served.logged.split("\n") if line]
    requests = [line for line in lines if line["logger"] == "parley.access"]
    seen = {(line["method"], line["path"], line["status"]) for line in requests}
    assert ("POST", "/api/auth/register", 200) in seen
    assert ("POST", "/api/messages/send", 201) in seen
    # What is no word in the path of nothing may be anything.
    assert ("GET", "/no/…", 404) in seen
    assert any(line["method"] == "WS" for line in requests)
    assert all(line["ms"] >= 0 and line["time"] and line["level"] for line in requests)
    for secret in (token, token.rpartition(".")[2], PASSWORD, content, "in the query", "$2b$"):
        assert secret not in served.logged


class Interrupted(NamedTuple):
    """What clients were told, and what is stored, when a server was stopped under load."""

    acknowledged: dict[int, str]
    stored: dict[int, str]
    codes: set[int | None]
    seconds: float


class Talker:
    """Sends without waiting for answers until the server goes; keeps each answer."""

    def __init__(self, ws: ClientConnection, name: str, answers: Inbox[tuple[int, str]]) -> None:
        self._ws = ws
        self._name = name
        self._answers = answers

    async def talk(self) -> None:
        """Send and listen until the connection ends."""
        sending = asyncio.create_task(self._send())
        with contextlib.suppress(ConnectionClosed):
            async for text in self._ws:
                message = msgspec.json.decode(text)
                if message["type"] == "next":
                    sent = message["payload"]["data"]["sendMessage"]
                    self._answers.put((int(sent["id"]), sent["content"]))
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    async def _send(self) -> None:
        for number in count():
            query = f'mutation {{ sendMessage(content: "{self._name} {number}") {{ id content }} }}'
            message = {"type": "subscribe", "id": str(number), "payload": {"query": query}}
            await self._ws.send(msgspec.json.encode(message).decode())
            await asyncio.sleep(0.002)


async def _interrupt(directory: Path, database_url: str) -> Interrupted:
    answers: Inbox[tuple[int, str]] = Inbox()
    async with (
        _serving(directory, DATABASE_URL=database_url, LIMITS="off") as served,
        contextlib.AsyncExitStack() as stack,
    ):
        _, token = await _account(served)
        sockets = [await stack.enter_async_context(_graphql(served, token)) for _ in range(4)]
        talkers = [
            asyncio.create_task(Talker(ws, str(name), answers).talk())
            for name, ws in enumerate(sockets)
        ]
        await answers.expect_many(lambda _: True, 200, 30)
        seconds = await served.stop()
        await asyncio.wait_for(asyncio.gather(*talkers), 10)
        assert served.process.returncode in CLEAN
        assert "Traceback" not in served.logged
    database = open_database(database_url)
    stored = {message.id: message.content for message in await expect_dense(database)}
    await database.close()
    return Interrupted(dict(answers.items), stored, {ws.close_code for ws in sockets}, seconds)


async def test_a_stop_under_load_is_quick_and_keeps_all_that_was_acknowledged(
    tmp_path: Path, database_url: str
) -> None:
    done = await _interrupt(tmp_path, database_url)
    assert done.seconds < STOP_SECONDS
    assert done.acknowledged.items() <= done.stored.items()
    # Clients take these for a reason to come back.
    assert done.codes <= {1001, 1012}


async def test_a_stop_under_load_answers_all_that_it_stores(tmp_path: Path) -> None:
    done = await _interrupt(tmp_path, f"sqlite:///{tmp_path / 'parley.db'}")
    assert done.stored == done.acknowledged


def test_a_python_without_the_packages_says_what_to_do() -> None:
    words = [sys.executable, "-S", str(ROOT / "main.py"), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "has no package 'pydantic'" in done.stderr
    assert ".venv/bin/python" in done.stderr
    assert "Traceback" not in done.stderr
