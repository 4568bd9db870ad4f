"""How much is measured, and how one measurement is made and told."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import uvloop

from bench.results import Part
from bench.sampling import Sample
from bench.servers.seed import add_users
from bench.servers.served import Served

ROUND_SECONDS = 300.0


class Plan(NamedTuple):
    """How much of it."""

    rounds: int
    warm_up: float
    seconds: float
    deadline: float  # on the clock of time.monotonic

    def turns(self) -> Iterator[int]:
        """Each round's number; past the deadline there is none but the first."""
        for turn in range(self.rounds):
            if turn and time.monotonic() > self.deadline:
                say(f"  out of time: {turn} of {self.rounds} rounds")
                return
            yield turn


def say(text: str) -> None:
    """Tell on stderr how it goes; stdout is for the tables."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # a command line prints


def told(part: Part, variant: str, sample: Sample) -> None:
    """Keep a sample and say it."""
    part.add(variant, sample)
    numbers = "  ".join(f"{key} {value:,.6g}" for key, value in sample.items())
    say(f"  {part.title} · {variant}: {numbers}")


@contextmanager
def running(served: Served, users: int = 0) -> Iterator[Served]:
    """The server, started, with its first users; ended on the way out."""
    served.start()
    try:
        if users:
            add_users(served, users)
        yield served
    finally:
        served.kill()


def run(measurement: Awaitable[Sample]) -> Sample:
    """Run a measurement on a loop of its own, in bounded time."""
    return uvloop.run(_bounded(measurement))


async def _bounded(measurement: Awaitable[Sample]) -> Sample:
    async with asyncio.timeout(ROUND_SECONDS):
        return await measurement
