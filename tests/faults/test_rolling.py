"""deploy/roll.sh restarts both instances behind HAProxy: no request fails, and clients resume."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.conftest import SECONDS, Report, told
from tests.faults.load import User, load_on, register
from tests.faults.processes import Parley, parleys
from tests.faults.store import MariaDBStore
from tests.faults.wire import WATCH, Cut, GraphQLClient
from tests.server.test_haproxy import INSTANCE_PORTS, HAProxy
from tests.support.redis import Redis
from tests.support.tools import require

pytestmark = pytest.mark.timeout(SECONDS)

ROLL = Path(__file__).resolve().parents[2] / "deploy" / "roll.sh"
ROLL_SECONDS = 90
ASKING = 8
WATCHING = 20
# From the close of a client's connection until it is subscribed again, at worst; two busy cores.
LONGEST_PAUSE = 3.0


@dataclass(slots=True)
class House:
    """A balancer, its instances, and a `systemctl restart` of our own."""

    proxy: HAProxy
    instances: dict[str, Parley]
    directory: Path
    restarted: list[str] = field(default_factory=list)

    async def roll(self, *targets: str) -> tuple[int, str]:
        """Run the script; return its exit status and what it says."""
        asks = self.directory / "restarter"
        restart = self.directory / "restart"
        restart.write_text(f"#!/bin/sh\necho $1 | socat -t {ROLL_SECONDS} - UNIX-CONNECT:{asks}\n")
        restart.chmod(0o755)
        wanted = targets or tuple(f"{name}={one.url}" for name, one in self.instances.items())
        async with await asyncio.start_unix_server(self._restart, asks):
            script = await asyncio.create_subprocess_exec(
                str(ROLL),
                *wanted,
                env={
                    "PATH": os.environ["PATH"],
                    "HAPROXY_SOCKET": str(self.proxy.control),
                    "RESTART": f"{restart} ",
                },
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            try:
                async with asyncio.timeout(ROLL_SECONDS):
                    said, _ = await script.communicate()
            except TimeoutError:
                script.kill()
                raise
        assert script.returncode is not None
        return script.returncode, said.decode()

    async def ask(self, command: str) -> str:
        """Ask HAProxy itself."""
        answer, asking = await asyncio.open_unix_connection(str(self.proxy.control))
        asking.write(f"{command}\n".encode())
        told = (await answer.read()).decode()
        asking.close()
        return told

    async def _restart(self, asks: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        name = (await asks.readline()).decode().strip()
        await asyncio.to_thread(self.instances[name].stop)
        await asyncio.to_thread(self.instances[name].start)
        self.restarted.append(name)
        answers.close()


@pytest.fixture
def house(mariadb_store: MariaDBStore, redis: Redis, tmp_path: Path) -> Iterator[House]:
    """Instances a and b behind HAProxy; skips where a program is missing."""
    program = require("HAProxy", "haproxy")
    require("socat"), require("curl")
    with ExitStack() as stack:
        settings: dict[str, Any] = {
            "database_url": mariadb_store.url,
            "redis_url": redis.url,
            "redis_prefix": "rolling",
        }
        instances = {}
        for name in INSTANCE_PORTS:
            home = tmp_path / name
            home.mkdir()
            [instances[name]] = stack.enter_context(parleys(home, instance=name, **settings))
        ports = {INSTANCE_PORTS[name]: one.port for name, one in instances.items()}
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-roll-")))
        proxy = HAProxy(directory, program, ports)
        stack.callback(proxy.kill)
        proxy.start()
        yield House(proxy, instances, directory)


@asynccontextmanager
async def _asking(port: int, users: list[User]) -> AsyncIterator[list[int]]:
    """Ask without a pause and without a second try; yield every status that was answered."""
    answers: list[int] = []
    stopping = asyncio.Event()

    async def ask(user: User) -> None:
        headers = {"Authorization": f"Bearer {user.token}"}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20
        ) as http:
            while not stopping.is_set():
                read = await http.get("/api/messages", params={"limit": 5})
                sent = await http.post(
                    "/graphql", json={"query": 'mutation { sendMessage(content: "x") { id } }'}
                )
                assert sent.json().get("errors") is None, sent.text
                answers.extend((read.status_code, sent.status_code))

    async with asyncio.TaskGroup() as group:
        for user in users:
            group.create_task(ask(user))
        try:
            yield answers
        finally:
            stopping.set()


@asynccontextmanager
async def _watching(port: int, user: User) -> AsyncIterator[list[float]]:
    """Subscribe again whenever the connection ends; yield how long each pause was."""
    pauses: list[float] = []

    async def watch() -> None:
        over_at = 0.0
        while True:
            try:
                client = await GraphQLClient.open(port, user.token)
                await client.watch(WATCH, lambda _: None, None)
            except Cut:
                await asyncio.sleep(0.02)
                continue
            if over_at:
                pauses.append(time.monotonic() - over_at)
            await client.over.wait()
            over_at = time.monotonic()

    tasks = [asyncio.create_task(watch()) for _ in range(WATCHING)]
    try:
        yield pauses
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_rolling_restart_fails_no_request_and_every_client_resumes(
    house: House, mariadb_store: MariaDBStore, report: Report
) -> None:
    port = house.proxy.port
    users = await register(port, ASKING + 1)
    async with (
        load_on([port]) as load,
        _watching(port, users[-1]) as pauses,
    ):
        async with _asking(port, users[:-1]) as answers:
            status, said = await house.roll()
        assert (status, house.restarted) == (0, ["a", "b"]), said
        assert {*answers} == {200}
        # Each client was cut at least once: those of a by its restart, all of b's by the other.
        assert len(pauses) >= WATCHING
        report(
            f"{len(answers)} requests of {ASKING} clients, none failed; {len(pauses)} clients cut,"
            f" subscribed again after {statistics.median(pauses):.2f} s (median),"
            f" {max(pauses):.2f} s (longest)"
        )
        assert max(pauses) < LONGEST_PAUSE
        rows = await load.finish(mariadb_store)
        facts = [fact.id for fact in mariadb_store.facts()]
        others = {user.id for user in users}
        others |= {*load.mixed.ids} if load.mixed else set()
        load.ledger.verify(rows, mariadb_store.head(), facts=facts, others=others)
        report(told(load.ledger))


async def test_it_restarts_nothing_where_an_instance_would_be_missed(house: House) -> None:
    a = f"a={house.instances['a'].url}"
    assert (await house.roll(a))[0] == 2
    status, said = await house.roll(a, "c=http://127.0.0.1:1")
    assert status == 2
    assert "has no server c" in said
    await asyncio.to_thread(house.instances["b"].stop)
    async with asyncio.timeout(ROLL_SECONDS):
        while ",b," not in (told := await house.ask("show stat")) or "DOWN" not in told:
            pass
    status, said = await house.roll()
    assert status == 1
    assert "not UP: nothing was restarted" in said
    assert house.restarted == []
