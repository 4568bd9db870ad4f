"""The process itself: its time, its memory, its open files."""

import gc
import os
import resource
import threading
from pathlib import Path
from time import time

from observe.families import Family, counter, gauge
from settings import VERSION

_STARTED = time()
_PAGE = resource.getpagesize()


def process() -> list[Family]:
    """Return the figures of the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    open_files, limit = _open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    found = [
        gauge("parley_build_info", "The version that runs.", {(("version", VERSION),): 1}, "max"),
        counter(
            "process_cpu_seconds_total",
            "Processor time of the process, of the user's and the system's.",
            used.ru_utime + used.ru_stime,
        ),
        gauge("process_start_time_seconds", "When the process began, in Unix time.", _STARTED),
        gauge("process_max_fds", "How many files and connections the process may open.", limit),
        gauge("process_threads", "Threads of the process.", threading.active_count()),
        counter(
            "python_gc_collections_total",
            "Times that the garbage collector ran, by generation.",
            {(("generation", str(n)),): s["collections"] for n, s in enumerate(gc.get_stats())},
        ),
    ]
    if (memory := _resident_bytes()) is not None:
        found.append(gauge("process_resident_memory_bytes", "Memory of the process.", memory))
    if open_files is not None:
        found.append(gauge("process_open_fds", "Open files and connections.", open_files))
    return [
        Family(
            f.name, f.kind, f.help, f.samples, "max" if f.name == "parley_build_info" else "each"
        )
        for f in found
    ]


def _resident_bytes() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except OSError:  # a system without /proc
        return None


def _open_files() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return None
