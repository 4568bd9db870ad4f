"""web/client's hooks for React: a component that draws what happens, and not more often."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faces import new_account
from tests.support.node import SCRIPTS, Message, NodeProcess, node_packages, node_process
from tests.support.server import RunningServer
from tests.web.client_app import another_person

CLIENT = Path(__file__).parent.parent.parent / "web" / "client"
SECONDS = 30.0


@pytest.fixture
def folder() -> Iterator[str]:
    """The built client where Node finds `react` beside it."""
    node_packages()
    with tempfile.TemporaryDirectory(dir=SCRIPTS / "node_modules") as made:
        shutil.copytree(CLIENT / "dist", Path(made) / "dist")
        (Path(made) / "package.json").write_text('{"type": "module"}')
        yield made


async def drawn(node: NodeProcess, **wanted: object) -> Message:
    """Wait until the component has drawn this."""
    return await node.expect_type("drawn", SECONDS, **wanted)


async def test_a_component_draws_what_happens(folder: str, sqlite_chat: RunningServer) -> None:
    alice = await new_account(sqlite_chat, "Alice")
    typing = "mutation($to: ID!) { setTyping(with: $to) }"
    async with another_person(sqlite_chat, "Bob") as bob:
        assert bob.account is not None
        await bob.send("one", str(alice.id))
        options = {"token": alice.token, "peer": str(bob.account.id)}
        async with node_process("parley_react.mjs", folder, sqlite_chat.url, options) as node:
            await drawn(node, status="CONNECTING", messages=[], title=None)
            await drawn(node, status="ONLINE", messages=["one"], title="Bob", me="Alice")
            await drawn(node, online=True)
            await bob.send("two", str(alice.id))
            await drawn(node, messages=["one", "two"], outgoing=[])
            await bob.execute(typing, {"to": str(alice.id)})
            await drawn(node, typing=["Bob"])
            await node.send("send", content="three")
            await drawn(node, outgoing=["three"], messages=["one", "two"])
            await drawn(node, outgoing=[], messages=["one", "two", "three"])
            # It draws what has changed, not each time that something has happened.
            await node.send("disconnect")
            last = await drawn(node, status="OFFLINE")
            assert last["draws"] < 40
