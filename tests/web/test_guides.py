"""The programs of docs/guides, over a restart of the server: nothing lost, nothing twice."""

import asyncio
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.cut import cuttable
from tests.support.faces import GraphQLFace, new_account
from tests.support.node import SCRIPTS, node_packages
from tests.support.ports import free_port
from tests.support.server import running_server

GUIDES = Path(__file__).parent.parent.parent / "docs" / "guides"
RUN = ("graphql-ws", "apollo", "urql", "relay", "gql", "socketio-js", "socketio-python")
NOT_RUN = {"apollo-kotlin", "apollo-ios", "README"}
SECONDS = 60.0
CONTENTS = [f"{word} {number}" for word in ("before", "away", "after") for number in range(5)]
LANGUAGES = {"js": "mjs", "python": "py"}


class Program:
    """A guide's program, and the lines that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._changed = asyncio.Condition()
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.lines)),
            asyncio.create_task(self._read(process.stderr, self.errors)),
        ]

    async def prints(self, line: str) -> None:
        """Wait for a line."""
        try:
            async with asyncio.timeout(SECONDS), self._changed:
                await self._changed.wait_for(lambda: line in self.lines)
        except TimeoutError:
            raise AssertionError(f"no {line!r} among {self.lines}; {self.errors[-20:]}") from None

    async def end(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await asyncio.gather(*self._readers)

    async def _read(self, stream: asyncio.StreamReader | None, lines: list[str]) -> None:
        assert stream is not None
        async for line in stream:
            async with self._changed:
                lines.append(line.decode().rstrip("\n"))
                self._changed.notify_all()


def program_of(guide: str) -> tuple[str, str]:
    """The ending and the text of a guide's program: its first block of code."""
    found = re.search(r"^```(\w+)\n(.*?)^```", (GUIDES / f"{guide}.md").read_text(), re.M | re.S)
    assert found, guide
    return LANGUAGES[found[1]], found[2]


async def start(guide: str, folder: Path, url: str, token: str) -> Program:
    ending, text = program_of(guide)
    path = folder / f"of_{guide}.{ending}"  # `gql.py` would hide the package
    path.write_text(text)
    runs = await asyncio.to_thread(node_packages) if ending == "mjs" else sys.executable
    process = await asyncio.create_subprocess_exec(
        runs,
        path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PARLEY": url, "TOKEN": token},
    )
    return Program(process)


@pytest.fixture(scope="module")
async def printed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, list[str]]]:
    """What each program printed over one restart that all of them meet."""
    node_packages()
    data = tmp_path_factory.mktemp("chat")
    kept: dict[str, Any] = {"database_url": f"sqlite:///{data / 'chat.db'}", "port": free_port()}
    async with AsyncExitStack() as stack:
        # Beside the packages, where Node looks for them.
        made = stack.enter_context(tempfile.TemporaryDirectory(dir=SCRIPTS / "node_modules"))
        folder = Path(made)
        shutil.copy(GUIDES / "resuming.js", folder / "resuming.js")
        (folder / "package.json").write_text('{"type": "module"}')
        network = await stack.enter_async_context(cuttable(kept["port"]))
        with running_server(data, **kept) as server:
            alice, bob = await new_account(server, "Alice"), await new_account(server, "Bob")
            programs = {}
            for guide in RUN:
                programs[guide] = await start(guide, folder, network.url, alice.token)
                stack.push_async_callback(programs[guide].end)
            for program in programs.values():
                await program.prints("following")
            async with GraphQLFace.open(server, bob) as face:
                for content in CONTENTS[:5]:
                    await face.send(content, str(alice.id))
            for program in programs.values():
                await program.prints(CONTENTS[4])
            await network.cut()
        with running_server(data, **kept) as server:
            async with GraphQLFace.open(server, bob) as face:
                for content in CONTENTS[5:10]:
                    await face.send(content, str(alice.id))
                await network.heal()
                for content in CONTENTS[10:]:
                    await face.send(content, str(alice.id))
            for program in programs.values():
                await program.prints(CONTENTS[-1])
            yield {guide: program.lines for guide, program in programs.items()}
            await stack.aclose()


@pytest.mark.parametrize("guide", RUN)
async def test_a_guide_resumes_over_a_restart(guide: str, printed: dict[str, list[str]]) -> None:
    lines = [line for line in printed[guide] if line != "following"]
    assert lines == CONTENTS


def test_every_guide_is_run_or_says_that_it_is_not() -> None:
    guides = {path.stem for path in GUIDES.glob("*.md")}
    assert guides == {*RUN, *NOT_RUN}
    for guide in NOT_RUN - {"README"}:
        assert "**This page was not run.**" in (GUIDES / f"{guide}.md").read_text()
