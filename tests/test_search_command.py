"""`main.py search …`: an operator looks at the index, and has it made anew."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from settings import Settings
from tests.conftest import fresh_database_url, on_sqlite
from tests.support.faces import Account, new_account
from tests.support.server import RunningServer, running_server
from tests.support.tools import AS_INSTALLED

ROOT = Path(__file__).parent.parent
FOUND = '{ searchMessages(query: "station") { complete edges { node { id } } } }'


async def search(
    directory: Path, database_url: str, *words: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run the command on this machine's index."""
    ours = {name.upper() for name in Settings.model_fields}
    clean = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    clean |= AS_INSTALLED
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "ignore:'crypt'", str(ROOT / "main.py"), "search", *words],
        cwd=directory,
        env={**clean, "DATABASE_URL": database_url, "DATA_DIR": str(directory), **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def find(http: httpx.AsyncClient, account: Account) -> int:
    """How many messages are found, once the index is complete."""
    headers = {"Authorization": f"Bearer {account.token}"}
    async with asyncio.timeout(30):
        while True:
            answer = await http.post("/graphql", json={"query": FOUND}, headers=headers)
            found = answer.json()["data"]["searchMessages"]
            if found["complete"]:
                return len(found["edges"])


async def fill(server: RunningServer) -> int:
    """Send two messages, and return how many are found."""
    alice = await new_account(server, "Alice")
    async with httpx.AsyncClient(base_url=server.url) as http:
        headers = {"Authorization": f"Bearer {alice.token}"}
        for content in ("at the station", "at the other station"):
            body = {"content": content, "toUserId": alice.id}
            sent = await http.post("/api/messages/send", json=body, headers=headers)
            assert sent.status_code == 201
        return await find(http, alice)


@on_sqlite
async def test_the_index_is_looked_at_and_made_anew(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """While a server runs, which makes it anew itself; and afterwards, by the command alone."""
    url = fresh_database_url(engine, request, tmp_path)
    with running_server(tmp_path, database_url=url, search="on") as server:
        assert await fill(server) == 2
        status = (await search(tmp_path, url, "status")).stdout
        assert "a running server" in status
        made = re.search("Made .*", status)
        await asyncio.sleep(1)  # it is told in seconds
        rebuilt = await search(tmp_path, url, "rebuild")
        assert "is complete" in rebuilt.stdout, rebuilt.stderr
        status = (await search(tmp_path, url, "status")).stdout
        assert made
        assert made[0] not in status
        assert "Messages    2 with a text" in status
        assert await fill(server) == 2, "of another user's"
    rebuilt = await search(tmp_path, url, "rebuild")
    assert "is complete" in rebuilt.stdout, rebuilt.stderr
    status = (await search(tmp_path, url, "status")).stdout
    assert "no process" in status
    assert "Messages    4 with a text" in status


async def test_without_an_index_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'parley.db'}"
    early = await search(tmp_path, url, "status")
    assert (early.returncode, early.stderr[:20]) == (1, "There is no database")
    off = await search(tmp_path, url, "status", SEARCH="off")
    assert (off.returncode, off.stderr) == (1, "SEARCH=off: there is no index\n")
    with running_server(tmp_path, database_url=url, search="off"):
        status = await search(tmp_path, url, "status")
    assert "nothing of" in status.stdout, status.stderr
    rebuilt = await search(tmp_path, url, "rebuild")
    assert "is complete: 0 positions" in rebuilt.stdout, rebuilt.stderr
