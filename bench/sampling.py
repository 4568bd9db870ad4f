"""What one measurement gives: named numbers; and how those of latencies are made."""

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from bench.servers.processes import Times
from bench.servers.served import Served

Sample: TypeAlias = dict[str, float]
SECOND_US = 1e6
SECOND_MS = 1e3


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of them lies; of an empty sequence, not a number."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def costs(used: Times, count: int, elapsed: float) -> Sample:
    """How many a second, CPU microseconds for each, and how much others disturbed."""
    if not count:
        raise RuntimeError(f"nothing was answered in {elapsed:.1f} s")
    sample = {
        "rate": count / elapsed,
        "others": used.others / elapsed,
        "server_us": used.server / count * SECOND_US,
        "database_us": used.database / count * SECOND_US,
        "cpu_us": (used.server + used.database) / count * SECOND_US,
        "load_us": used.load / count * SECOND_US,
    }
    if used.redis:
        sample["redis_us"] = used.redis / count * SECOND_US
        sample["cpu_us"] += sample["redis_us"]
    return sample


def latencies(seconds: Sequence[float]) -> Sample:
    """The median and the 99th percentile, in milliseconds."""
    return {
        "p50_ms": percentile(seconds, 0.50) * SECOND_MS,
        "p99_ms": percentile(seconds, 0.99) * SECOND_MS,
    }


@contextmanager
def no_collections() -> Iterator[None]:
    """The load generator makes no cycles: keep its collector's pauses out of the latencies."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


async def window(
    served: Served, seconds: float, start: Callable[[], None], check: Callable[[], None]
) -> tuple[Times, float]:
    """Call `start`, wait, and return the CPU times used and how long it really was."""
    loop = asyncio.get_running_loop()
    before = served.times()
    begun = loop.time()
    start()
    end = begun + seconds
    while (left := end - loop.time()) > 0:
        check()
        await asyncio.sleep(min(left, 0.5))
    # Nothing is awaited from here on: what has been counted is of this time and no later.
    return served.times().since(before), loop.time() - begun
