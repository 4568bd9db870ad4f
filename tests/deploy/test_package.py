"""The wheel: all that a server needs is in it, and its `parley` command does what main.py does."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from settings import VERSION
from tests.deploy.installed import ROOT, Installed, build_wheel, install, names_in
from tests.support.faces import GraphQLFace, RestFace, SocketIOFace, new_account
from tests.support.files import image_file
from tests.support.server import RunningServer
from tests.test_architecture import HOUSE

# What only developers of the TypeScript client need: its readers take `dist/`.
LEFT_OUT = ("web/client/src/", "web/client/node_modules/")

# The index is made in a process of its own, which starts late where the machine is busy.
FOUND_SECONDS = 60


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this directory."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `parley` of an environment of its own."""
    return install(wheel, tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture(scope="module")
def instance(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """A server of the installed package, with the embedded database."""
    directory = tmp_path_factory.mktemp("installed")
    parley = Installed(directory, program, chat_page="on")
    parley.start()
    yield parley
    parley.stop()
    assert f"Parley {VERSION}" in parley.log.read_text()
    assert parley.complaints() == []


def test_it_holds_every_file_of_the_house_and_no_test(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", *(f"{room}/*" for room in HOUSE), "main.py", "application.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = {name for name in listed.stdout.split("\n") if name and not name.startswith(LEFT_OUT)}
    held = {name for name in names_in(wheel) if ".dist-info/" not in name and ".data/" not in name}
    assert wanted - held == set()
    assert {name for name in held if name.partition("/")[0].removesuffix(".py") not in HOUSE} == (
        set()
    )
    assert [name for name in held if name.startswith(LEFT_OUT)] == []


def test_it_brings_what_an_operator_copies(program: Path) -> None:
    share = program.parent.parent / "share" / "parley"
    assert (share / ".env.example").read_text() == (ROOT / ".env.example").read_text()
    for shipped in (ROOT / "deploy").iterdir():
        assert (share / "deploy" / shipped.name).read_text() == shipped.read_text()


def test_its_command_makes_the_tables(program: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [program, "migrate"],
        cwd=tmp_path,
        env={"DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "parley.db").exists()


async def test_its_server_serves_the_three_faces(instance: Installed) -> None:
    server = cast(RunningServer, instance)
    sender = await new_account(server, "sender")
    receiver = await new_account(server, "receiver")
    async with (
        SocketIOFace.open(server, receiver) as older,
        GraphQLFace.open(server, receiver) as heard,
        GraphQLFace.open(server, sender) as graphql,
        RestFace.open(server, sender) as rest,
    ):
        for face, content in ((graphql, "by GraphQL"), (rest, "by REST")):
            sent = await face.send(content, receiver.id)
            assert await older.hear(content) == sent
            assert await heard.hear(content) == sent


async def test_its_pages_are_there(instance: Installed) -> None:
    browser = {"Accept": "text/html"}
    async with httpx.AsyncClient(base_url=instance.url, headers=browser) as http:
        page = (await http.get("/")).text
        assert "<title>" in page
        for address in _addresses(page):
            assert (await http.get(address)).status_code == 200, address
        playground = (await http.get("/graphql")).text
        assert _addresses(playground)
        for address in _addresses(playground):
            assert (await http.get(address)).status_code == 200, address


async def test_its_other_processes_start(instance: Installed) -> None:
    """The one that looks at uploads, and the one that makes the search index."""
    server: Any = instance
    account = await new_account(server)
    headers = {"Authorization": f"Bearer {account.token}"}
    async with httpx.AsyncClient(base_url=instance.url, headers=headers, timeout=30) as http:
        uploaded = await http.post(
            "/api/uploads", files={"file": ("picture.png", image_file("PNG"))}
        )
        assert uploaded.status_code == 201, uploaded.text
        await http.post("/api/messages/send", json={"content": "a needle in a haystack"})
        query = {"query": '{ searchMessages(query: "needle") { nodes { content } } }'}
        async with asyncio.timeout(FOUND_SECONDS):
            while "a needle" not in (await http.post("/graphql", json=query)).text:
                pass


def _addresses(page: str) -> list[str]:
    """The files that a page loads, of this server."""
    return [
        found
        for found in re.findall(r'(?:src|href)="([^"]+\.(?:js|css|svg))"', page)
        if "://" not in found
    ]
