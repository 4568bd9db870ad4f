"""When Python's garbage collector runs: often and for a moment, never for long amid a crowd.

By itself the collector looks at new objects once their number has grown by so many. Where thousands
of connections end while thousands begin, the number hardly grows: half a million new objects piled
up, and one look took 0.4 s. A full collection takes as long, with 10,000 connections. Neither a
message nor a connection needs the collector (tests/test_cycles.py), so it may run seldom.
"""

import asyncio
import gc

# Between two steps the collector runs only for a request that makes more objects than this.
COLLECT_AFTER = (10_000, 5, 1_000_000)
STEP_SECONDS = 0.1
# How often there is a full collection; while the loop is late it waits, but not for ever.
FULL_SECONDS = 600.0
MOST_WAIT_SECONDS = 1200.0
LATE_SECONDS = 0.02


def spare_the_collector() -> None:
    """Exclude all objects made so far from collections: modules, the schema, the routes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def collect_in_steps() -> None:
    """Collect, in each step, among the objects made since the last step; run until cancelled."""
    clock = asyncio.get_running_loop().time
    full_at = clock() + FULL_SECONDS
    while True:
        due = clock() + STEP_SECONDS
        await asyncio.sleep(STEP_SECONDS)
        late = clock() - due
        gc.collect(1)
        if (late < LATE_SECONDS and clock() >= full_at) or clock() >= full_at + MOST_WAIT_SECONDS:
            gc.collect()
            full_at = clock() + FULL_SECONDS
