"""The parts that compare Parley with its Node.js peers: A B A B …, each server freshly started."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from bench.clients.chat_clients import ChatClient, GraphQLClient, SocketIOClient
from bench.clients.requests import (
    PAGE,
    check_page,
    check_sent,
    graphql_pages,
    graphql_sends,
    measure_requests,
    rest_pages,
    rest_sends,
)
from bench.parts.chat import PAIRS, measure_chat
from bench.parts.idle import CONNECTIONS, USERS, measure_idle
from bench.parts.plan import Plan, run, running, told
from bench.results import COSTS, THROUGHPUT, Metric, Part
from bench.sampling import Sample
from bench.servers.served import Bench, ExpressPeer, Parley, Served, YogaPeer


def alternate(
    bench: Bench,
    plan: Plan,
    part: Part,
    kinds: dict[str, type[Served]],
    measure: Callable[[Served], Awaitable[Sample]],
    *,
    users: int,
) -> Part:
    """Measure each kind of server in turn, freshly started, round by round: A B A B …"""
    for _ in plan.turns():
        for variant, kind in kinds.items():
            database = f"bench_{kind.__name__.lower()}"
            with running(bench.server(kind, database), users) as served:
                told(part, variant, run(measure(served)))
    return part


def _throughput(
    bench: Bench,
    plan: Plan,
    title: str,
    peer: type[Served],
    client: type[ChatClient],
    goals: tuple[str, str],
) -> Part:
    part = Part(
        title,
        [Parley.kind, peer.kind],
        THROUGHPUT,
        (Parley.kind, peer.kind),
        goals={"rate": goals[0], "cpu_us": goals[1], "p99_ms": "≤ 1×"},
    )

    def measure(served: Served) -> Awaitable[Sample]:
        return measure_chat(served, client, warm_up=plan.warm_up, seconds=plan.seconds)

    kinds: dict[str, type[Served]] = {Parley.kind: Parley, peer.kind: peer}
    return alternate(bench, plan, part, kinds, measure, users=2 * PAIRS)


def graphql(bench: Bench, plan: Plan) -> Iterator[Part]:
    """Messages over one graphql-transport-ws socket a user."""
    title = "GraphQL over WebSocket"
    yield _throughput(bench, plan, title, YogaPeer, GraphQLClient, ("≥ 4×", "≤ 0.25×"))


def socketio(bench: Bench, plan: Plan) -> Iterator[Part]:
    """Messages over Socket.IO."""
    yield _throughput(bench, plan, "Socket.IO", ExpressPeer, SocketIOClient, ("≥ 2×", "≤ 0.5×"))


def http(bench: Bench, plan: Plan) -> Iterator[Part]:
    """Requests over keep-alive connections: sends, and pages of the history."""
    metrics = [
        Metric("rate", "requests/s"),
        *(metric._replace(title=metric.title.replace("message", "request")) for metric in COSTS),
    ]
    for title, peer, asking, check in (
        ("HTTP: sendMessage", YogaPeer, graphql_sends, check_sent),
        (f"HTTP: messages(last: {PAGE})", YogaPeer, graphql_pages, check_page),
        ("HTTP: POST /api/messages/send", ExpressPeer, rest_sends, check_sent),
        (f"HTTP: GET /api/messages?limit={PAGE}", ExpressPeer, rest_pages, check_page),
    ):
        both = (Parley.kind, peer.kind)
        part = Part(title, [*both], metrics, both, goals={"rate": "≥ 1.5×"})
        measure = partial(
            measure_requests,
            asking=asking,
            check=check,
            warm_up=plan.warm_up / 2,
            seconds=plan.seconds / 2,
        )
        kinds: dict[str, type[Served]] = {Parley.kind: Parley, peer.kind: peer}
        yield alternate(bench, plan, part, kinds, measure, users=2 * PAIRS)


def idle(bench: Bench, plan: Plan) -> Iterator[Part]:
    """Connections that say nothing."""
    metrics = (
        Metric("kilobytes", "KB of memory a connection", 1),
        Metric("connects", "connects/s"),
        Metric("server_us", "server CPU µs a connect"),
        Metric("load_us", "(load generator: CPU µs a connect)"),
        Metric("others", "(other programs: cores)", 2),
    )
    kinds: tuple[tuple[str, type[Served], type[ChatClient]], ...] = (
        (f"Idle: {CONNECTIONS:,} Socket.IO connections", ExpressPeer, SocketIOClient),
        (f"Idle: {CONNECTIONS:,} GraphQL sockets, a subscription each", YogaPeer, GraphQLClient),
    )
    for title, peer, client in kinds:
        both = (Parley.kind, peer.kind)
        part = Part(title, [*both], metrics, both, goals={"kilobytes": "≤ 1×", "connects": "≥ 1×"})
        compared: dict[str, type[Served]] = {Parley.kind: Parley, peer.kind: peer}
        yield alternate(
            bench, plan, part, compared, partial(measure_idle, kind=client), users=USERS
        )
