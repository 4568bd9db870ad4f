"""Many generated inputs, each of its own seed: one that fails prints itself and can be replayed."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain
from random import Random
from typing import Protocol

from tests.attacks.conftest import Report
from tests.attacks.target import Target

# ATTACK_SEED=7 gives other inputs; ATTACK_ONLY=12 or 100-400 only these of them.
SEED = os.environ.get("ATTACK_SEED", "1")
ONLY = os.environ.get("ATTACK_ONLY", "")
ASSAILANTS = 16
LOOK_SECONDS = 1.0
# Caches, pools and the first of everything.
WARM_PART = 10


class Wrong(AssertionError):
    """The server did what it must not."""


class Assailant(Protocol):
    """One client that sends one input after the other, on as many connections as it takes."""

    said: list[object]  # of the present input, to be shown

    async def attack(self, rng: Random) -> None:
        """Send one input and judge the answer. Raises AssertionError, TimeoutError."""

    async def close(self) -> None:
        """End."""


def _numbers(count: int) -> range:
    first, _, last = ONLY.partition("-")
    return range(int(first), int(last or first) + 1) if ONLY else range(count)


async def storm(
    target: Target,
    count: int,
    make: Callable[[], Awaitable[Assailant]],
    report: Report,
    *,
    assailants: int = ASSAILANTS,
) -> None:
    """Send so many inputs, warm up by the first of them, and look at the server all the while."""
    began = time.monotonic()
    numbers = _numbers(count)
    warm = numbers[: len(numbers) // WARM_PART]
    progress = [numbers.start]
    await _watched(target, warm, make, assailants, progress)
    target.warmed()
    await _watched(target, numbers[len(warm) :], make, assailants, progress)
    seconds = time.monotonic() - began
    report(f"{len(numbers)} inputs of seed {SEED} in {seconds:.0f} s")


async def _watched(
    target: Target,
    numbers: range,
    make: Callable[[], Awaitable[Assailant]],
    assailants: int,
    progress: list[int],
) -> None:
    left = iter(numbers)
    tasks = [asyncio.create_task(_send(left, make, progress)) for _ in range(assailants)]
    done: set[asyncio.Task[None]] = set()
    looked_at = progress[0]
    try:
        while len(done) < len(tasks):
            done, _ = await asyncio.wait(
                tasks, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_EXCEPTION
            )
            for task in done:
                task.result()
            try:
                target.look()
            except AssertionError as error:
                raise Wrong(
                    f"after an input of {looked_at}-{progress[0]}, seed {SEED}"
                    f" (ATTACK_SEED={SEED} ATTACK_ONLY={looked_at}-{progress[0]}): {error}"
                ) from error
            looked_at = max(numbers.start, progress[0] - assailants)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(
    left: Iterator[int], make: Callable[[], Awaitable[Assailant]], progress: list[int]
) -> None:
    for first in left:
        assailant = await make()
        try:
            for number in chain((first,), left):
                progress[0] = max(progress[0], number)
                assailant.said.clear()
                try:
                    await assailant.attack(Random(f"{SEED}/{number}"))
                except Exception as error:
                    said = "\n".join(repr(part)[:4000] for part in assailant.said)
                    raise Wrong(
                        f"{error!r}\nby input {number} of seed {SEED}"
                        f" (ATTACK_SEED={SEED} ATTACK_ONLY={number}):\n{said}"
                    ) from error
        finally:
            await assailant.close()
