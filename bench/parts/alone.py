"""The parts that compare Parley with itself: more history, more listeners, logins, processes."""

import tempfile
import time
from collections.abc import Iterator

import uvloop

from bench.clients.chat_clients import ChatClient, EventsClient, GraphQLClient, SocketIOClient
from bench.clients.requests import PAGE
from bench.parts.chat import PAIRS, measure_chat
from bench.parts.churn import USERS as USERS_OF_CHURN
from bench.parts.churn import measure_churn
from bench.parts.crowd import USERS, measure_broadcasts
from bench.parts.facts import KINDS, measure_facts
from bench.parts.growth import ONLINE, REPLAYED, SIZES, fill, measure_growth, replay_starts
from bench.parts.plan import Plan, run, running, say, told
from bench.parts.reconnect import (
    CROWD,
    JITTER_SECONDS,
    LEAVING,
    LISTENING,
    measure_leaving,
    measure_reconnect,
)
from bench.parts.reconnect import USERS as USERS_OF_STORM
from bench.parts.search import PAGE as FOUND
from bench.parts.search import wait_for_index
from bench.parts.storm import LOGINS_AT_ONCE, RATE, measure_steady
from bench.results import THROUGHPUT, Metric, Part
from bench.servers.served import Bench, Parley

CROWDS = (1_250, 5_000)
# The supervisor answers for the first worker that is ready; give the others time to be.
WORKERS_SECONDS = 3.0
CHURN_SECONDS, CHURN_LOOK_SECONDS = 600.0, 15.0


def events(bench: Bench, plan: Plan) -> Iterator[Part]:
    """Messages over `events`, and over `messageAdded`."""
    kinds: dict[str, type[ChatClient]] = {"events": EventsClient, "messageAdded": GraphQLClient}
    part = Part(
        "Messages over events", [*kinds], THROUGHPUT, ("events", "messageAdded"),
        goals={"cpu_us": "≤ 1.1×"},
    )  # fmt: skip
    for _ in plan.turns():
        for name, kind in kinds.items():
            with running(bench.server(Parley, f"bench_{name.lower()}"), 2 * PAIRS) as served:
                measured = measure_chat(served, kind, warm_up=plan.warm_up, seconds=plan.seconds)
                told(part, name, run(measured))
    yield part


def facts(bench: Bench, plan: Plan) -> Iterator[Part]:
    """What each kind of change costs the log, beside a message."""
    metrics = [
        Metric(f"{kind.key}_{key}", f"{kind.title}: {title}", digits)
        for kind in KINDS
        for key, title, digits in (
            ("us", "CPU µs, server + database", 1),
            ("database_us", "… database", 1),
            ("times", "… of a message's", 2),
            ("rate", "a second", 0),
        )
        if (kind.key, key) != ("message", "times")
    ]
    goals = {metric.key: "≤ 2" for metric in metrics if metric.key.endswith("_times")}
    part = Part("Changes at the log", ["MariaDB", "SQLite"], metrics, goals=goals)
    database = bench.database
    for turn in plan.turns():
        database.create_database("bench_facts")
        on_mariadb = measure_facts(database.url("bench_facts"), database.pid)
        told(part, "MariaDB", run(on_mariadb))
        with tempfile.TemporaryDirectory(prefix="parley-bench-facts-") as directory:
            told(part, "SQLite", run(measure_facts(f"sqlite+aiosqlite:///{directory}/{turn}.db")))
    bench.drop("bench_facts")
    yield part


def growth(bench: Bench, plan: Plan) -> Iterator[Part]:
    """The same questions to logs of several sizes."""
    titles = [size.title for size in SIZES]
    questions = {
        "page": f"history page of {PAGE}",
        "replay": f"replay of {REPLAYED}",
        "online": f"onlineUsers, {ONLINE} online",
        "search": f"search, page of {FOUND}",
    }
    metrics = [
        Metric(f"{name}_{key}", f"{question}: {title}", digits)
        for name, question in questions.items()
        for key, title, digits in (
            ("cpu_us", "CPU µs, server + database", 0),
            ("database_us", "… database", 0),
            ("p50_ms", "p50, ms", 2),
        )
    ]
    goals = {metric.key: "≤ 1.2×" for metric in metrics if "database" not in metric.key}
    del goals["search_cpu_us"]  # every message is a hit: a search of more of them costs more
    goals["search_p50_ms"] = "≤ 20 ms"
    part = Part("Growth", titles, metrics, (titles[-1], titles[0]), "largest / smallest", goals)
    starts = {}
    for size in SIZES:
        begun = time.monotonic()
        with running(bench.server(Parley, f"bench_{size.messages}"), size.users) as served:
            pass  # its tables are made, and its users
        uvloop.run(fill(bench, served.name, size))
        starts[size] = replay_starts(served)
        say(f"  filled: {size.title}, {time.monotonic() - begun:.0f} s")
        with running(bench.server(Parley, f"bench_{size.messages}")) as served:
            say(f"  indexed: {size.title}, {wait_for_index(served):.0f} s")
    for _ in plan.turns():
        for size in SIZES:
            with running(bench.server(Parley, f"bench_{size.messages}")) as served:
                measured = measure_growth(
                    served,
                    size,
                    starts[size],
                    warm_up=plan.warm_up / 3,
                    seconds=plan.seconds / 2,
                )
                told(part, size.title, run(measured))
    for size in SIZES:
        bench.drop(f"bench_{size.messages}")
    yield part


def broadcast(bench: Bench, plan: Plan) -> Iterator[Part]:
    """One message to many connections."""
    metrics = (
        Metric("broadcast_ms", "server CPU ms a broadcast", 1),
        Metric("each_us", "server CPU µs a connection", 1),
        Metric("last_p50_ms", "the last one has it after, p50, ms", 1),
        Metric("last_p99_ms", "… the slowest broadcast, ms", 1),
        Metric("load_ms", "(load generator: CPU ms a broadcast)", 1),
    )
    kinds: tuple[tuple[str, type[ChatClient]], ...] = (
        ("GraphQL", GraphQLClient),
        ("Socket.IO", SocketIOClient),
    )
    for protocol, kind in kinds:
        titles = [f"{crowd:,} connections" for crowd in CROWDS]
        part = Part(f"Broadcast, {protocol}", titles, metrics, (titles[-1], titles[0]))
        for _ in plan.turns():
            for crowd, title in zip(CROWDS, titles, strict=True):
                with running(bench.server(Parley, "bench_parley"), USERS) as served:
                    told(part, title, run(measure_broadcasts(served, kind, crowd)))
        yield part


def storm(bench: Bench, plan: Plan) -> Iterator[Part]:
    """Logins at full rate beside messages at a steady one."""
    metrics = (
        Metric("p50_ms", "latency p50, ms", 2),
        Metric("p99_ms", "latency p99, ms", 2),
        Metric("rate", "messages/s"),
        Metric("logins", "logins/s", 1),
        Metric("server_busy", "cores the server uses", 2),
        Metric("others", "(other programs: cores)", 2),
    )
    quiet, stormy = "no logins", f"{LOGINS_AT_ONCE} logins at once"
    title = f"Login storm, {RATE} messages/s"
    part = Part(title, [quiet, stormy], metrics, (stormy, quiet), goals={"p99_ms": "≤ 2×"})
    for _ in plan.turns():
        for variant in (quiet, stormy):
            with running(bench.server(Parley, "bench_parley"), 2 * PAIRS) as served:
                measured = measure_steady(
                    served, seconds=1.5 * plan.seconds, storm=variant == stormy
                )
                told(part, variant, run(measured))
    yield part


def workers(bench: Bench, plan: Plan) -> Iterator[Part]:
    """Two processes and Redis, against one."""
    one, connected, two = "one process", "one process, Redis", "two processes, Redis"
    variants = {one: (False, 1), connected: (True, 1), two: (True, 2)}
    part = Part(
        "Two processes, GraphQL", [*variants], THROUGHPUT, (two, one), goals={"cpu_us": "≤ 1.15×"}
    )
    for _ in plan.turns():
        for variant, (redis, count) in variants.items():
            server = bench.server(Parley, "bench_workers", redis=redis, workers=count)
            with running(server, 2 * PAIRS) as served:
                if count > 1:
                    time.sleep(WORKERS_SECONDS)
                measured = measure_chat(
                    served, GraphQLClient, warm_up=plan.warm_up, seconds=plan.seconds
                )
                told(part, variant, run(measured))
    yield part


def reconnect(bench: Bench, plan: Plan) -> Iterator[Part]:
    """Everybody is cut off and comes back; and a crowd that leaves before another."""
    waits = (
        Metric("p50_ms", "a bystander's message takes, p50, ms", 1),
        Metric("p99_ms", "… p99, ms", 1),
        Metric("max_ms", "… the longest, ms", 1),
    )
    metrics = (
        Metric("live_s", "all are live, and miss nothing, after, s", 1),
        *waits,
        Metric("server_ms", "server CPU ms a connection", 2),
        Metric("busy", "cores the server uses", 2),
        Metric("lists", "user:online, for each client", 1),
        Metric("departures", "user:offline, for each client", 1),
    )
    title = f"{CROWD:,} reconnect with `after` within {JITTER_SECONDS:.0f} s"
    part = Part(title, ["Parley"], metrics, goals={"live_s": "≤ 20", "max_ms": "≤ 250"})
    for _ in plan.turns():
        bench.drop("bench_parley")  # they resume from its beginning
        with running(bench.server(Parley, "bench_parley"), USERS_OF_STORM) as served:
            told(part, "Parley", run(measure_reconnect(served, crowd=CROWD)))
    yield part
    kinds: tuple[tuple[str, type[ChatClient]], ...] = (
        ("GraphQL", GraphQLClient),
        ("Socket.IO", SocketIOClient),
    )
    costs = (
        Metric("told_s", "all are told within, s", 1),
        *waits,
        Metric("server_s", "server CPU s", 1),
    )
    title = f"{LEAVING:,} leave while {LISTENING:,} watch presence"
    part = Part(title, [name for name, _ in kinds], costs, goals={"max_ms": "≤ 250"})
    for _ in plan.turns():
        for name, kind in kinds:
            with running(bench.server(Parley, "bench_parley"), USERS_OF_STORM) as served:
                told(part, name, run(measure_leaving(served, kind)))
    yield part


def churn(bench: Bench, plan: Plan) -> Iterator[Part]:
    """Ten minutes of connections that come and go: the lows of memory must level off."""
    metrics = (
        Metric("done", "things done"),
        Metric("early_mb", "least MB of the second fifth"),
        Metric("late_mb", "least MB of the last fifth"),
        Metric("most_mb", "most MB"),
    )
    part = Part("Ten minutes of churn", ["Parley"], metrics)
    with running(bench.server(Parley, "bench_parley"), USERS_OF_CHURN) as served:
        measured = measure_churn(served, seconds=CHURN_SECONDS, every=CHURN_LOOK_SECONDS)
        curve = uvloop.run(measured)
    memory = [megabytes for _, megabytes in curve]
    fifth = len(memory) // 5
    sample = {
        "done": curve[-1][0],
        "early_mb": min(memory[fifth : 2 * fifth]),
        "late_mb": min(memory[-fifth:]),
        "most_mb": max(memory),
    }
    told(part, "Parley", sample)
    part.note = "MB: " + ", ".join(f"{megabytes:.0f}" for megabytes in memory)
    yield part
