"""What this process uses of the machine."""

import asyncio
import contextlib
import os
import resource
import time
from typing import Any

# How long the loop is looked at to see whether it is late.
LOOK_SECONDS = 0.02
_STARTED = time.monotonic()


async def own_resources() -> dict[str, Any]:
    """Return the process's age, CPU time, memory and open files, and how late its loop is."""
    due = time.monotonic() + LOOK_SECONDS
    await asyncio.sleep(LOOK_SECONDS)
    late = max(0.0, time.monotonic() - due)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "process": os.getpid(),
        "parent": os.getppid(),
        "upSeconds": round(time.monotonic() - _STARTED, 1),
        "cpuSeconds": round(used.ru_utime + used.ru_stime, 2),
        "memoryBytes": _resident_bytes(used.ru_maxrss),
        "openFiles": _open_files(),
        "mostOpenFiles": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "loopLateMs": round(late * 1000, 1),
    }


def _resident_bytes(most_kilobytes: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return most_kilobytes * 1024  # the most that it was


def _open_files() -> int | None:
    with contextlib.suppress(OSError):
        return len(os.listdir("/proc/self/fd")) - 1  # without that of the listing itself
    return None
