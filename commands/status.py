"""`main.py status`: how the server on this machine is, asked from another terminal."""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from commands.status_lines import lines_of
from server.processes.status_socket import Answer, DirectoryNotOurs, ask_all
from settings import Settings


def add_parser(commands: Any) -> None:
    """Add the command and its words to the command line."""
    parser = commands.add_parser("status", help="tell how the server that runs here is")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--users", action="store_true", help="name the users who are connected")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Print how each process is; exit with 1 when none runs, or one of them has trouble."""
    try:
        answers = asyncio.run(ask_all(settings.data_dir, with_users=options.users))
    except DirectoryNotOurs as error:
        raise SystemExit(f"{error}: run this as the server's user") from error
    troubles = [*_troubles(answers)]
    place = settings.data_dir.absolute()
    if not answers:
        troubles = [f"No server with DATA_DIR={place} runs here"]
    if options.json:
        processes = [{"process": answer.process, **(answer.told or {})} for answer in answers]
        print(msgspec.json.encode({"processes": processes, "troubles": troubles}).decode())
    else:
        for line in lines_of(answers):
            print(line)
        for trouble in troubles:
            print(f"! {trouble}", file=sys.stderr)
    if troubles:
        raise SystemExit(1)


def _troubles(answers: list[Answer]) -> Iterator[str]:
    for process, told in answers:
        if told is None:
            yield f"process {process} does not answer: it is stopped, or too busy"
            continue
        for worker in told.get("workers", ()):
            if not worker["ready"]:
                yield f"worker {worker['name']} is not ready"
        if not told.get("database", {}).get("answers", True):
            yield f"process {process}: the database: {told['database']['trouble']}"
        if not told.get("redis", {}).get("connected", True):
            yield f"process {process}: Redis is away"
        if not told.get("search", {}).get("answers", True):
            yield f"process {process}: the search index cannot be read"
