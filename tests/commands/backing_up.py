"""`backup` and `restore` run in this process, and what a backup has."""

import argparse
import asyncio
import subprocess
from pathlib import Path
from typing import Any

import httpx
import msgspec

from commands import backup, restore
from settings import Settings
from tests.support.faces import Account
from tests.support.server import RunningServer


async def run_backup(settings: Settings, to: Path) -> None:
    """Back up, as an operator does beside the server."""
    await asyncio.to_thread(backup.run, settings, _words(backup, "backup", "--to", str(to)))


async def run_restore(settings: Settings, *words: str | Path) -> None:
    """Restore, as an operator does."""
    options = _words(restore, "restore", *map(str, words))
    await asyncio.to_thread(restore.run, settings, options)


def _words(command: Any, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(words)


def manifest_of(backup: Path) -> dict[str, Any]:
    """Return what a backup says of itself, once its sums are what `sha256sum` finds."""
    found = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"],
        cwd=backup,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    told: dict[str, Any] = msgspec.json.decode((backup / "manifest.json").read_bytes())
    return told


async def ask(server: RunningServer, who: Account, query: str, **variables: Any) -> dict[str, Any]:
    """Run an operation; return its data."""
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
        headers = {"Authorization": f"Bearer {who.token}"}
        body = {"query": query, "variables": variables}
        answer = (await http.post("/graphql", json=body, headers=headers)).json()
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


async def send(server: RunningServer, sender: Account, content: str, **fields: Any) -> int:
    """Send a message; return its id."""
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
        headers = {"Authorization": f"Bearer {sender.token}"}
        body = {"content": content, **fields}
        answer = await http.post("/api/messages/send", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def upload(server: RunningServer, owner: Account, name: str, content: bytes) -> int:
    """Upload a file; return the attachment's id."""
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
        headers = {"Authorization": f"Bearer {owner.token}"}
        answer = await http.post("/api/uploads", files={"file": (name, content)}, headers=headers)
    assert answer.status_code in {200, 201}, answer.text
    return int(answer.json()["id"])


async def history(server: RunningServer, who: Account) -> list[dict[str, Any]]:
    """Return everything that one may see, oldest first."""
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
        headers = {"Authorization": f"Bearer {who.token}"}
        answer = await http.get("/api/messages", headers=headers)
    assert answer.status_code == 200, answer.text
    return sorted(answer.json(), key=lambda message: message["id"])


async def download(server: RunningServer, message: dict[str, Any]) -> bytes:
    """Return the bytes of the file that a message carries."""
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
        answer = await http.get(message["attachment"]["url"])
    assert answer.status_code == 200, answer.text
    return answer.content
