"""What processes cost: their CPU time and their memory, read from /proc."""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")


class Times(NamedTuple):
    """CPU seconds used so far: by a server, what it stands on, the load generator, and all."""

    server: float
    database: float
    redis: float
    load: float
    machine: float

    def since(self, earlier: "Times") -> "Times":
        """What was used between the two."""
        return Times(*(now - then for now, then in zip(self, earlier, strict=True)))

    @property
    def others(self) -> float:
        """What is none of ours: other programs, or other machines on the same processor."""
        return self.machine - self.server - self.database - self.redis - self.load


def machine_seconds() -> float:
    """The time in which the processors did anything at all, or were taken away (steal)."""
    first = (_PROC / "stat").read_text().partition("\n")[0].split()
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, first[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICK


def family(pid: int) -> list[int]:
    """The process and all that it started, and they."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of all threads of these processes."""
    ticks = 0
    for pid in pids:
        if fields := _stat(pid):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICK


def resident_bytes(pids: list[int]) -> int:
    """Resident memory of those of these processes that are there, summed."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pages += int((_PROC / str(pid) / "statm").read_text().split()[1])
    return pages * _PAGE


def _stat(pid: int) -> list[str]:
    """The fields of stat from the state on (proc(5) counts it as the third); none once it ended."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()  # a program's name may hold spaces and brackets
