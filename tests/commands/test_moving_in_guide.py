"""docs/moving-in.md: each command on the page does what the page says."""

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from main import main
from settings import Settings
from tests.commands.older import Older, chat, person
from tests.conftest import on_mariadb
from tests.support.faces import PASSWORD
from tests.support.tools import AS_INSTALLED

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs" / "moving-in.md").read_text()
OLDER_URL = "mysql://chat:secret@127.0.0.1/chat_app"
BLOCKS: list[str] = re.findall(r"```sh\n(.+?)```", GUIDE, re.DOTALL)
# Without those that install the packages: what the tests run on is there.
LINES = [line for block in BLOCKS if "pip install" not in block for line in block.splitlines()]


class Shell:
    """Runs the page's commands, on the databases of this test."""

    def __init__(self, older: Older, settings: Settings, directory: Path) -> None:
        ours = {name.upper() for name in Settings.model_fields}
        clean = {name: value for name, value in os.environ.items() if name.upper() not in ours}
        url = settings.database_url
        assert url is not None
        self._older = older
        self._directory = directory
        self.environment = {
            **clean,
            **AS_INSTALLED,
            "DATABASE_URL": url.get_secret_value(),
            "DATA_DIR": str(settings.data_dir),
            "HOST": "127.0.0.1",
            "PORT": str(settings.port),
            "BCRYPT_ROUNDS": "4",
        }

    def start(self, line: str) -> "subprocess.Popen[str]":
        """Start a line: the page's settings for the database are those of the test."""
        assert line in GUIDE, line
        words = shlex.split(line.replace(OLDER_URL, self._older.url))
        while "=" in words[0]:
            words.pop(0)
        assert words[:2] == ["python", "main.py"], line
        command = [sys.executable, "-W", "ignore:'crypt'", str(ROOT / "main.py"), *words[2:]]
        return subprocess.Popen(
            command,
            cwd=self._directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def run(self, line: str) -> str:
        """Run a line to its end; return what it prints."""
        process = self.start(line)
        out, err = await asyncio.to_thread(process.communicate, timeout=60)
        assert process.returncode == 0, err
        return out


def line_with(*words: str) -> str:
    """Return the page's one command with these words."""
    [found] = [line for line in LINES if all(word in line for word in words)]
    return found


@on_mariadb  # as the page has it
async def test_the_steps_of_the_guide(older: Older, settings: Settings, tmp_path: Path) -> None:
    older.make()
    older.insert("users", *map(person, range(1, 4)))
    older.insert("messages", *chat(3, 20), (21, 99, 1, "nobody's", "2020-01-01"))
    shell = Shell(older, settings, tmp_path)
    zone, import_, look, serve = (
        line_with("--time-zone"),
        line_with("DB_NAME", "import"),
        line_with("--list"),
        line_with("serve"),
    )
    assert len(LINES) == 4
    assert "3 accounts and 20 messages moved." in await shell.run(look)
    assert (tmp_path / "left-out.txt").read_text() == "messages 21: its sender is no account\n"
    assert "3 accounts and 20 messages moved." in await shell.run(zone)
    assert "3 accounts and 20 messages moved." in await shell.run(import_)

    server = shell.start(serve)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}") as http:
            await ready(http)
            login = {"email": "user1@example.com", "password": PASSWORD}
            answer = await http.post("/api/auth/login", json=login)
            assert answer.json()["user"]["id"] == 1
        admin = "python main.py users admin EMAIL"
        assert f"`{admin}`" in GUIDE
        said = await run_inline(shell, admin.replace("EMAIL", "user1@example.com"))
        assert "is an administrator" in said
    finally:
        server.send_signal(signal.SIGTERM)
        await asyncio.to_thread(server.communicate)
    export = "python main.py export --all --to DIR"
    assert f"`{export}`" in GUIDE
    said = await run_inline(shell, export.replace("DIR", "exported"))
    assert (tmp_path / "exported" / "export.json").exists(), said


async def run_inline(shell: Shell, line: str) -> str:
    """Run a command that the page names in a sentence, with its words filled in."""
    words = shlex.split(line)[2:]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "ignore:'crypt'", str(ROOT / "main.py"), *words],
        cwd=shell._directory,
        env=shell.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def ready(http: httpx.AsyncClient) -> None:
    """Wait until the server answers."""
    for _ in range(300):
        try:
            if (await http.get("/ready")).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.1)
    pytest.fail("the server did not start")


def test_the_help_lists_what_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["import", "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    for word in ("password_hash | password", "receiver_id | recipient_id", "$2a$, $2b$ or $2y$"):
        assert word in said
