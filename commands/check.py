"""`main.py check`: what is wrong with what a server needs, and what to do about it."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NoReturn

import msgspec

from commands.checking.database import check_database
from commands.checking.findings import Finding, Hider, State, wrong
from commands.checking.machine import check_machine
from commands.checking.network import check_network
from commands.checking.own_settings import check_settings
from commands.checking.redis import check_redis
from commands.checking.secret_values import check_secrets
from commands.checking.store import check_store
from server.processes.status_socket import is_served
from settings import read_leniently

# A part that has not come to an end by then is wrong. All are looked at at once.
PART_SECONDS = 15.0

Look = Callable[[], Awaitable[list[Finding]]]


def add_parser(commands: Any) -> None:
    """Add the command and its words to the command line."""
    parser = commands.add_parser(
        "check", help="look at settings, database, files, Redis and proxies; say what is wrong"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(options: argparse.Namespace) -> NoReturn:
    """Print what is found, a line each; exit with 1 if anything is wrong. Never shows a secret."""
    # What the parts would log is in what they find.
    logging.disable(logging.CRITICAL)
    lines = look()
    count = sum(line["state"] == State.WRONG for line in lines)
    if options.json:
        print(msgspec.json.encode({"wrong": count, "findings": lines}).decode())
    else:
        _print(lines, count)
    sys.stdout.flush()
    # A thread that waits for a dead disk or name server would keep the process for ever.
    os._exit(1 if count else 0)


def look() -> list[dict[str, str]]:
    """Look at every part, at all at once; return what is found, without secrets."""
    settings, problems = read_leniently()
    hider = Hider(settings)
    parts: dict[str, Look] = {
        "settings": partial(asyncio.to_thread, check_settings, settings, problems),
        "secrets": partial(asyncio.to_thread, check_secrets, settings),
        "machine": partial(asyncio.to_thread, check_machine, settings),
        "database": partial(check_database, settings),
        "files": partial(check_store, settings),
        "redis": partial(check_redis, settings),
        "network": partial(check_network, settings, serves=is_served(settings.data_dir)),
    }
    return [
        {
            "part": part,
            "state": finding.state.value,
            "said": hider.hide(finding.said),
            "remedy": hider.hide(finding.remedy),
        }
        for part, findings in asyncio.run(_look_at_all(parts)).items()
        for finding in findings
    ]


def _print(lines: list[dict[str, str]], count: int) -> None:
    for line in lines:
        remedy = f" → {line['remedy']}" if line["remedy"] else ""
        print(f"{line['state']:5}  {line['part']:8}  {line['said']}{remedy}")
    sums = {0: "Nothing is wrong.", 1: "1 thing is wrong."}
    print(f"\n{sums.get(count, f'{count} things are wrong.')}")


async def _look_at_all(parts: dict[str, Look]) -> dict[str, list[Finding]]:
    found = await asyncio.gather(*(_look(look) for look in parts.values()))
    return dict(zip(parts, found, strict=True))


async def _look(look: Look) -> list[Finding]:
    try:
        async with asyncio.timeout(PART_SECONDS):
            return await look()
    except TimeoutError:
        said = f"no answer within {PART_SECONDS:.0f} s"
        return [wrong(said, "look whether its machine and the network to it are well")]
    except Exception as error:
        # One part that cannot be looked at hides none of the others.
        return [wrong(f"could not be looked at: {type(error).__name__}: {error}", "report it")]
