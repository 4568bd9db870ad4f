"""Two instances behind the HAProxy of deploy/haproxy.cfg are one chat."""

import asyncio
import re
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import register
from tests.faults.processes import Parley, parleys
from tests.faults.wire import WATCH, GraphQLClient
from tests.server.clients import everyone_talks, node_clients
from tests.server.raw_http import HANDSHAKE, RawConnection, ask, sessions_of_each
from tests.support.daemon import Daemon
from tests.support.inbox import Inbox
from tests.support.mariadb import MariaDB
from tests.support.redis import redis_server
from tests.support.tools import require

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "haproxy.cfg"
BOUND_PORT, INSTANCE_PORTS = 3000, {"a": 3001, "b": 3002}  # as the configuration has them
# What a check takes to notice, and what a busy machine adds.
NOTICED_SECONDS = 12


class HAProxy(Daemon):
    """The configuration as it stands, but for its ports."""

    def __init__(self, directory: Path, program: Path, ports: dict[int, int]) -> None:
        super().__init__(directory)
        self._program = program
        text = CONFIGURATION.read_text()
        for documented, real in {BOUND_PORT: self.port, **ports}.items():
            line = re.compile(rf"^( +(?:bind|server) .*:){documented}\b", re.MULTILINE)
            text, count = line.subn(rf"\g<1>{real}", text)
            assert count == 1, f"port {documented} is there {count} times"
        text = text.replace("inter 2s", "inter 500ms")  # the tests have no time
        self.control = directory / "admin.sock"
        text = text.replace("/run/haproxy/admin.sock", str(self.control))
        self.configuration = directory / "haproxy.cfg"
        self.configuration.write_text(text)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{self.host}:{self.port}"

    def check(self) -> str:
        """What HAProxy says of the configuration: nothing but that it is valid."""
        command = [str(self._program), "-c", "-f", str(self.configuration)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def command(self) -> list[str]:
        """HAProxy in the foreground."""
        return [str(self._program), "-db", "-f", str(self.configuration)]

    def answers(self) -> bool:
        """Whether an instance answers through it."""
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class House:
    """A balancer and its instances."""

    proxy: HAProxy
    instances: dict[str, Parley]


@pytest.fixture(scope="module")
def house(mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Instances a and b behind HAProxy; skips where there is none."""
    program = require("HAProxy", "haproxy")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        shared: dict[str, Any] = {"database_url": mariadb.url("haproxy"), "redis_url": redis.url}
        instances = {}
        for name in INSTANCE_PORTS:
            home = tmp_path_factory.mktemp(f"instance-{name}")
            [parley] = stack.enter_context(parleys(home, instance=name, **shared))
            instances[name] = parley
        ports = {INSTANCE_PORTS[name]: parley.port for name, parley in instances.items()}
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-haproxy-"))
        proxy = HAProxy(Path(directory), program, ports)
        stack.callback(proxy.kill)
        proxy.start()
        yield House(proxy, instances)


def test_the_configuration_has_no_warnings(house: House) -> None:
    said = house.proxy.check()
    assert "valid" in said
    assert "WARNING" not in said
    assert "ALERT" not in said


async def test_sessions_of_both_instances_poll_through_it(house: House) -> None:
    sessions = await sessions_of_each(house.proxy.port, {*INSTANCE_PORTS})
    for sid in sessions.values():
        path = f"{HANDSHAKE}&sid={sid}"
        # Over one connection, as a browser does.
        async with RawConnection(house.proxy.port) as connection:
            assert (await connection.ask("GET", "/health")).status == 200
            sent = await connection.ask("POST", path, "40")
            assert (sent.status, sent.body) == (200, "ok"), sent
        async with RawConnection(house.proxy.port) as connection:
            assert (await connection.ask("GET", "/health")).status == 200
            polled = await connection.ask("GET", path)
            assert polled.body.startswith('40{"sid":'), polled


async def test_default_clients_connect_upgrade_and_talk(house: House) -> None:
    users = await register(house.proxy.port, 4)
    async with node_clients(house.proxy.url, users) as clients:
        for client in clients:
            await client.expect_type("upgrade", transport="websocket")
        await everyone_talks(clients, users, rounds=2)


async def test_clients_that_only_poll_talk(house: House) -> None:
    users = await register(house.proxy.port, 4)
    async with node_clients(house.proxy.url, users, transports=["polling"]) as clients:
        await everyone_talks(clients, users, rounds=3)


async def test_graphql_reaches_both_instances_and_hears_all(house: House) -> None:
    users = await register(house.proxy.port, 4)
    clients = [await GraphQLClient.open(house.proxy.port, user.token) for user in users]
    try:
        last = await (await clients[0].start("first", "first", None))
        inboxes: list[Inbox[dict[str, Any]]] = [Inbox() for _ in users]
        for client, inbox in zip(clients, inboxes, strict=True):
            await client.watch(WATCH, inbox.put, after=last)
        sent = [await (await client.start("x", "x", None)) for client in clients]
        for inbox in inboxes:
            heard = await inbox.expect_many(lambda _: True, len(sent))
            assert [int(data["messageAdded"]["id"]) for data in heard] == sent
    finally:
        for client in clients:
            await client.close()


async def test_one_instance_stopped_its_clients_go_on_with_the_other(house: House) -> None:
    users = await register(house.proxy.port, 4)
    again = {"reconnection": True, "reconnectionDelay": 100, "reconnectionDelayMax": 500}
    # Before there are clients: the instance with fewer connections gets all the new ones.
    held = await sessions_of_each(house.proxy.port, {*INSTANCE_PORTS})
    async with node_clients(house.proxy.url, users, **again) as clients:
        for client in clients:
            await client.expect_type("upgrade")
        await asyncio.to_thread(house.instances["a"].stop)
        try:
            # Not one request falls on the instance that is gone, though no check has told of it.
            for _ in range(10):
                assert (await ask(house.proxy.port, "GET", "/health")).status == 200
            moved = 0
            for client, user in zip(clients, users, strict=True):
                try:
                    await client.expect_type("disconnect", timeout=1)
                except AssertionError:
                    continue  # b's
                moved += 1
                await client.expect_type("connect", timeout=NOTICED_SECONDS)
                await client.send("emit", event="auth:login", args=[{"token": user.token}])
                await client.expect_type("event", event="auth:ok")
            assert 0 < moved < len(clients)
            for client in clients:
                client.inbox.clear()
            await everyone_talks(clients, users, rounds=1)
            # A session that went with its instance is told so, and is not sent round in circles.
            answer = await ask(house.proxy.port, "GET", f"{HANDSHAKE}&sid={held['a']}")
            if answer.status == 307:
                answer = await ask(house.proxy.port, "GET", answer.headers["location"])
            assert (answer.status, "Session ID unknown" in answer.body) == (400, True)
        finally:
            await asyncio.to_thread(house.instances["a"].start)
    async with asyncio.timeout(NOTICED_SECONDS):
        assert set(await sessions_of_each(house.proxy.port, {*INSTANCE_PORTS})) == {"a", "b"}
