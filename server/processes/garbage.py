"""When Python's garbage collector runs: often and for a moment, never for long amid a crowd.

By itself it looks at what is new after so many objects more. Where thousands of connections end
while thousands begin there are hardly more, so what is new piled up, half a million objects of it,
and one look took 0.4 s. Looking through all there is takes as long, with 10,000 connections.
Nothing of a message or of a connection needs it (tests/test_cycles.py): it may be seldom.
"""

import asyncio
import gc

# For between two steps, should more than this be made there: a request that makes a great deal.
COLLECT_AFTER = (10_000, 5, 1_000_000)
STEP_SECONDS = 0.1
# Everything is looked at so often: then, or, while the loop is late, as soon as it no longer is.
FULL_SECONDS = 600.0
MOST_WAIT_SECONDS = 1200.0
LATE_SECONDS = 0.02


def spare_the_collector() -> None:
    """Leave what was made until here out of all collections: modules, the schema, the routes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def collect_in_steps() -> None:
    """Look at what was made since the step before, without end."""
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
