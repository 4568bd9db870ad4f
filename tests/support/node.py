"""Other people's JavaScript clients, run under Node with the packages of tests/node."""

import asyncio
import fcntl
import hashlib
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from tests.support.tools import missing, require

SCRIPTS = Path(__file__).parent.parent / "node"
OLDEST_NODE = 18
INSTALL_SECONDS = 100.0
RUN_SECONDS = 60.0
EXPECT_SECONDS = 10.0
END_SECONDS = 5.0
LINE_BYTES = 16 * 1024 * 1024

# One line of a script's output; the long-running scripts give each a "type".
Message: TypeAlias = dict[str, Any]


class NodeRun(NamedTuple):
    """How a script ended and what it printed."""

    code: int
    lines: list[Message]
    stderr: str


async def run_node(
    script: str,
    *arguments: object,
    env: Mapping[str, str] | None = None,
    timeout: float = RUN_SECONDS,
) -> NodeRun:
    """Run tests/node/<script> to its end; its output must be JSON lines."""
    async with _spawned(script, arguments, env) as process:
        async with asyncio.timeout(timeout):
            stdout, stderr = await process.communicate()
        code = await process.wait()
    lines = [json.loads(line) for line in stdout.splitlines()]
    return NodeRun(code, lines, stderr.decode(errors="replace"))


@asynccontextmanager
async def node_process(
    script: str, *arguments: object, env: Mapping[str, str] | None = None
) -> AsyncIterator["NodeProcess"]:
    """Run tests/node/<script> beside the test, ended on the way out."""
    async with _spawned(script, arguments, env) as process:
        node = NodeProcess(script, process)
        try:
            yield node
        finally:
            await node.end()


class NodeProcess:
    """A script that takes commands and gives messages, both as JSON lines."""

    def __init__(self, script: str, process: asyncio.subprocess.Process) -> None:
        self.script = script
        self.inbox: list[Message] = []  # what no expect() has taken yet, oldest first
        self._process = process
        self._errors: list[str] = []
        self._ended = False
        self._arrived = asyncio.Condition()
        self._readers = [
            asyncio.create_task(self._read_messages()),
            asyncio.create_task(self._read_errors()),
        ]

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def send(self, command: str, **fields: object) -> None:
        """Give the script one command."""
        assert self._process.stdin is not None
        line = json.dumps({"command": command, **fields})
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()

    async def expect(
        self, matches: Callable[[Message], object], timeout: float = EXPECT_SECONDS
    ) -> Message:
        """Take the oldest matching message of the inbox, waiting for it if need be."""
        try:
            async with asyncio.timeout(timeout), self._arrived:
                while True:
                    for position, message in enumerate(self.inbox):
                        if matches(message):
                            return self.inbox.pop(position)
                    if self._ended:
                        raise AssertionError(f"the script ended; {self._state()}")
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"nothing in {timeout} s; {self._state()}") from None

    async def expect_type(
        self, kind: str, timeout: float = EXPECT_SECONDS, **fields: object
    ) -> Message:
        """Take the oldest message of this type whose named fields are equal."""
        wanted = {"type": kind, **fields}
        return await self.expect(lambda message: wanted.items() <= message.items(), timeout)

    async def end(self) -> None:
        """End the script, as it wants to or else by force; idempotent."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), END_SECONDS)
        await _kill(self._process)
        await asyncio.gather(*self._readers)

    async def _read_messages(self) -> None:
        assert self._process.stdout is not None
        try:
            async for line in self._process.stdout:
                async with self._arrived:
                    self.inbox.append(json.loads(line))
                    self._arrived.notify_all()
        finally:
            async with self._arrived:
                self._ended = True
                self._arrived.notify_all()

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._errors.append(line.decode(errors="replace"))

    def _state(self) -> str:
        return f"{self.script}: unread {self.inbox}, stderr {''.join(self._errors[-20:])!r}"


@asynccontextmanager
async def _spawned(
    script: str, arguments: tuple[object, ...], env: Mapping[str, str] | None
) -> AsyncIterator[asyncio.subprocess.Process]:
    program = await asyncio.to_thread(node_packages)
    process = await asyncio.create_subprocess_exec(
        program,
        SCRIPTS / script,
        *(word if isinstance(word, str) else json.dumps(word) for word in arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
        env={**os.environ, **(env or {})},
    )
    try:
        yield process
    finally:
        await _kill(process)


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


_no_packages = ""


def node_packages() -> Path:
    """The node program, once tests/node/node_modules holds what the lock says; else skips."""
    global _no_packages
    program = require("Node.js", "node", "nodejs")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    major = int(version.stdout.removeprefix("v").split(".")[0])
    if major < OLDEST_NODE:
        missing(f"Node {OLDEST_NODE} or newer is needed; this is {version.stdout.strip()}")
    # Held by one test run at a time: npm ci empties the directory first.
    with (SCRIPTS / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = SCRIPTS / "node_modules" / ".installed"
        wanted = hashlib.sha256(lock.read()).hexdigest()
        if not stamp.exists() or stamp.read_text() != wanted:
            _no_packages = _no_packages or _install()
            if _no_packages:
                missing(_no_packages)
            stamp.write_text(wanted)
    return program


def _install() -> str:
    """Run npm ci; why it failed, or nothing."""
    command = [str(require("npm")), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    # Without a network, say so within seconds.
    command += [
        "--fetch-retries=2",
        "--fetch-retry-mintimeout=1000",
        "--fetch-retry-maxtimeout=5000",
    ]
    try:
        done = subprocess.run(
            command,
            cwd=SCRIPTS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"npm ci did not end within {INSTALL_SECONDS:.0f} s"
    return f"npm ci failed: {done.stderr.strip()[:500]}" if done.returncode else ""
