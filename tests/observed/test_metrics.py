"""The figures of a server, as Prometheus reads them: of one process, and of several as one."""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.processes import Parley, parleys
from tests.faults.wire import GraphQLClient, RestClient, Sender, SocketIOClient
from tests.observed.logged import PASSWORD, register
from tests.support.ports import free_port
from tests.support.redis import Redis, redis_server
from tests.support.tools import require

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Metrics:
    """What the port for the figures answers."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def read(self) -> Figures:
        """Return every figure by its name and labels."""
        answer = httpx.get(f"{self.url}/metrics")
        assert answer.status_code == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    def get(self, name: str, **labels: str) -> float:
        """Return one figure."""
        return self.read()[name, frozenset(labels.items())]

    def wait_for(self, value: float, name: str, **labels: str) -> None:
        """Wait until a figure has this value."""
        deadline = monotonic() + 5
        while (found := self.get(name, **labels)) != value and monotonic() < deadline:
            sleep(0.02)
        assert found == value

    def workers(self) -> set[str]:
        """Return the names of the workers that say how much memory they have."""
        found = self.read()
        return {
            dict(labels)["worker"]
            for name, labels in found
            if name == "process_resident_memory_bytes"
        }

    def wait_for_workers(self, names: set[str]) -> None:
        """Wait until these workers, and no others, tell of themselves."""
        deadline = monotonic() + 15
        while (found := self.workers()) != names and monotonic() < deadline:
            sleep(0.05)
        assert found == names


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Parley, Metrics]]:
    port = free_port("127.0.0.1")
    home = tmp_path_factory.mktemp("metrics")
    with parleys(home, metrics_port=port, search="off") as [parley]:
        yield parley, Metrics(port)


async def test_connections_sends_and_facts_are_counted(server: tuple[Parley, Metrics]) -> None:
    parley, metrics = server
    _, token = register(parley.url, "ann")
    before = metrics.read()
    names = {face: {"face": face, "state": "logged_in"} for face in ("graphql_ws", "socketio")}
    graphql = await GraphQLClient.open(parley.port, token)
    older = await SocketIOClient.open(parley.port, token)
    for face in names:
        metrics.wait_for(1, "parley_connections", **names[face])
    senders: tuple[Sender, ...] = (graphql, older, RestClient(parley.port, token))
    for number, client in enumerate(senders):
        await (await client.start(f"k{number}", "hello", None))
    after = metrics.read()

    def grew(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after[key] - before.get(key, 0)

    assert grew("parley_sends_total") == 3
    assert grew("parley_facts_total", kind="MessageSent") == 3
    assert 1 <= grew("parley_log_batch_size_count") <= 3
    assert grew("parley_log_batch_size_sum") == 3
    assert grew("parley_log_batch_seconds_sum") > 0
    assert grew("parley_log_head") == 3
    assert grew("parley_tokens_total", outcome="ok") == 2
    assert grew("parley_database_statement_seconds_count") > 0
    assert after["parley_log_lag", frozenset()] == 0
    assert after["parley_database_up", frozenset()] == 1
    assert after["parley_users_online", frozenset()] == 1
    for queue in ("log", "passwords", "media", "bus"):
        assert after["parley_queue_depth", frozenset({("queue", queue)})] == 0
    for client in senders:
        await client.close()
    for face in names:
        metrics.wait_for(0, "parley_connections", **names[face])


def test_logins_refusals_and_uploads_are_counted(server: tuple[Parley, Metrics]) -> None:
    parley, metrics = server
    _, token = register(parley.url, "bob")
    before = metrics.read()
    wrong = {"email": "bob@example.com", "password": "wrong-1"}
    httpx.post(f"{parley.url}/api/auth/login", json=wrong)
    httpx.post(f"{parley.url}/api/auth/login", json={**wrong, "password": PASSWORD})
    httpx.post(f"{parley.url}/graphql", json={"query": "{ nothing }"})
    headers = {"Authorization": f"Bearer {token}"}
    files = {"f": ("a.txt", b"12345")}
    assert httpx.post(f"{parley.url}/api/uploads", files=files, headers=headers).is_success
    after = metrics.read()

    def grew(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after[key] - before.get(key, 0)

    assert grew("parley_logins_total", outcome="ok") == 1
    assert grew("parley_logins_total", outcome="BAD_USER_INPUT") == 1
    assert grew("parley_refusals_total", code="BAD_USER_INPUT", reason="document") == 1
    assert grew("parley_uploads_total", kind="FILE") == 1
    assert grew("parley_upload_bytes_total") == 5
    assert grew("parley_media_runs_total") == 1
    assert grew("parley_media_seconds_total") > 0


async def test_what_a_resumed_stream_replays_is_counted(server: tuple[Parley, Metrics]) -> None:
    parley, metrics = server
    _, token = register(parley.url, "cat")
    client = RestClient(parley.port, token)
    first = await (await client.start("r0", "zero", None))
    for number in range(1, 4):
        await (await client.start(f"r{number}", "again", None))
    resumes = metrics.get("parley_resumes_total")
    replayed = metrics.get("parley_replayed_entries_total")
    watcher = await GraphQLClient.open(parley.port, token)
    seen: asyncio.Queue[object] = asyncio.Queue()
    query = "subscription($after: ID) { messageAdded(after: $after) { id } }"
    await watcher.watch(query, seen.put_nowait, after=first)
    for _ in range(3):
        await asyncio.wait_for(seen.get(), 5)
    metrics.wait_for(resumes + 1, "parley_resumes_total")
    metrics.wait_for(replayed + 3, "parley_replayed_entries_total")
    await watcher.close()
    await client.close()


def test_the_port_serves_the_figures_and_nothing_else(server: tuple[Parley, Metrics]) -> None:
    _, metrics = server
    assert httpx.get(f"{metrics.url}/").status_code == 404
    assert httpx.get(f"{metrics.url}/graphql?query={{me}}").status_code == 404
    assert httpx.post(f"{metrics.url}/metrics").status_code == 405
    head = httpx.head(f"{metrics.url}/metrics")
    assert (head.status_code, head.content) == (200, b"")
    text = httpx.get(f"{metrics.url}/metrics").text
    assert not re.search(r"@|example|" + PASSWORD, text)
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    assert httpx.get(f"{metrics.url}/metrics", headers=accept).text.endswith("# EOF\n")


def test_it_is_on_loopback_alone(server: tuple[Parley, Metrics]) -> None:
    _, metrics = server
    port = int(metrics.url.rpartition(":")[2])
    listening = Path("/proc/net/tcp").read_text().split("\n")
    found = [line.split()[1] for line in listening[1:] if f":{port:04X} 00000000" in line]
    assert found == [f"0100007F:{port:04X}"]


def test_promtool_has_nothing_to_say_of_the_figures(server: tuple[Parley, Metrics]) -> None:
    promtool = require("promtool")
    _, metrics = server
    text = httpx.get(f"{metrics.url}/metrics").content
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, timeout=20, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    with redis_server() as found:
        yield found


async def test_workers_are_summed_and_a_dead_one_still_counts(tmp_path: Path, redis: Redis) -> None:
    port = free_port("127.0.0.1")
    settings = {"workers": 2, "metrics_port": port, "redis_url": redis.url, "search": "off"}
    allowed = (r"Worker \S+ ended", r"went silent")
    with parleys(tmp_path, 1, allowed=allowed, **settings) as [parley]:
        metrics = Metrics(port)
        _, token = register(parley.url, "eve")
        clients = [await GraphQLClient.open(parley.port, token) for _ in range(6)]
        labels = {"face": "graphql_ws", "state": "logged_in"}
        metrics.wait_for(6, "parley_connections", **labels)
        for number, client in enumerate(clients):
            await (await client.start(f"w{number}", "hello", None))
        metrics.wait_for(6, "parley_sends_total")
        assert metrics.get("parley_redis_up") == 1
        assert metrics.workers() == {"0", "1"}
        metrics.wait_for(metrics.get("parley_log_head"), "parley_log_delivered")
        for client in clients:
            await client.close()
        os.kill(parley.worker_pids()[0], signal.SIGKILL)
        metrics.wait_for(6, "parley_sends_total")
        metrics.wait_for(0, "parley_connections", **labels)
        metrics.wait_for_workers({"0", "1"})
        assert metrics.get("parley_sends_total") == 6
