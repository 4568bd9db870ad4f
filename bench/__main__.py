"""`python -m bench`: measure, print Markdown tables, and keep the numbers as JSON."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.machine import describe_machine, raise_file_limit
from bench.parts import alone, compared
from bench.parts.plan import Plan, say
from bench.results import Part
from bench.servers.served import Bench, DurableMariaDB, Parley
from tests.support.mariadb import find_programs
from tests.support.redis import redis_server

PARTS: dict[str, Callable[[Bench, Plan], Iterator[Part]]] = {
    "graphql": compared.graphql,
    "socketio": compared.socketio,
    "http": compared.http,
    "idle": compared.idle,
    "broadcast": alone.broadcast,
    "storm": alone.storm,
    "workers": alone.workers,
    "events": alone.events,
    "facts": alone.facts,
    "growth": alone.growth,
    "reconnect": alone.reconnect,
    "churn": alone.churn,
}
# Takes ten minutes: measured where it is named.
LONG = {"churn"}
WITH_REDIS = {"workers"}
QUICK = ("graphql", "socketio")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all but churn"
    )
    parser.add_argument("--quick", action="store_true", help="one short round of the throughputs")
    parser.add_argument("--rounds", type=int, help="how often each server is measured (3)")
    parser.add_argument("--seconds", type=float, help="how long a throughput is measured (5)")
    parser.add_argument("--warm-up", type=float, help="how long before that (3)")
    parser.add_argument(
        "--minutes", type=float, default=18.0, help="after which parts end with one round (18)"
    )
    parser.add_argument("--json", type=Path, help="a file for the numbers")
    parser.add_argument("--tree", type=Path, help="another checkout of Parley to measure")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return options


def main(arguments: list[str]) -> None:
    """Run the command line."""
    options = _parse(arguments)
    if options.tree:
        Parley.tree = options.tree.resolve()
    plan = Plan(
        rounds=options.rounds or (1 if options.quick else 3),
        warm_up=options.warm_up or (3.0 if options.quick else 4.0),
        seconds=options.seconds or (3.0 if options.quick else 5.0),
        deadline=time.monotonic() + options.minutes * 60,
    )
    names = options.parts or (
        QUICK if options.quick else [name for name in PARTS if name not in LONG]
    )
    raise_file_limit()
    machine = describe_machine()
    say(f"{machine['machine']}; {machine['versions']}")
    try:
        done = _measure(names, plan)
    except pytest.skip.Exception as missing:  # how tests.support says that a program is missing
        raise SystemExit(str(missing)) from None
    if options.json:
        about = {"finished": datetime.now(UTC).isoformat(timespec="seconds"), **machine}
        found = {name: [part.as_json() for part in made] for name, made in done.items()}
        everything = {**about, "rounds": plan.rounds, "seconds": plan.seconds, "parts": found}
        options.json.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n")


def _measure(names: Sequence[str], plan: Plan) -> dict[str, list[Part]]:
    done: dict[str, list[Part]] = {}
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-bench-db-"))
        database = DurableMariaDB(Path(directory), find_programs())
        stack.callback(database.kill)
        database.install()
        database.start()
        redis = stack.enter_context(redis_server()) if set(names) & WITH_REDIS else None
        bench = Bench(database, redis)
        stack.callback(bench.close)
        for name in names:
            done[name] = []
            for part in PARTS[name](bench, plan):
                done[name].append(part)
                print(part.table(), flush=True)  # noqa: T201  # a command line prints
    return done


if __name__ == "__main__":
    main(sys.argv[1:])
