"""Parley as users run it: `python main.py serve` in processes of its own, to be killed."""

import os
import re
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.tools import AS_INSTALLED

MAIN = Path(__file__).resolve().parents[2] / "main.py"
PROBE_SECONDS = 2.0

# What a log may say at WARNING or above, with or without a traceback, while a part is broken.
REDIS_AWAY = r"Redis is away|Redis takes no publications|Redis did not take"
DATABASE_AWAY = (
    r"Could not read the log past|Could not record when"
    r"|Exception (during reset or similar|terminating connection|closing connection)"
)
WORKER_ENDED = r"Worker \S+ ended; starting it again"
PROCESS_SILENT = r"A process went silent"
_RECORD = re.compile(r"^\S+Z (\w+) +(\S+)  (.*)$")


class Parley(Daemon):
    """One instance, with one worker or several; its port and directory outlive restarts."""

    def __init__(self, directory: Path, **settings: object) -> None:
        super().__init__(directory)
        self.workers = int(str(settings.pop("workers", 1)))
        self._settings = settings
        self.starts = 0

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{self.host}:{self.port}"

    def command(self) -> list[str]:
        """The server's own command line."""
        self.starts += 1
        words = ["serve", "--host", self.host, "--port", str(self.port)]
        return [sys.executable, str(MAIN), *words, "--workers", str(self.workers)]

    def environment(self) -> dict[str, str]:
        """Nothing of the tests' own environment but what Python needs."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        told = {name.upper(): str(value) for name, value in self._settings.items()}
        quick = {
            **AS_INSTALLED,
            "ENV": "test",
            "JWT_SECRET": "a secret of the tests, long enough to sign with",
            "BCRYPT_ROUNDS": "4",
            "DATA_DIR": str(self.directory),
            "SHUTDOWN_SECONDS": "4",
            "LIMITS": "off",  # load from one address is the point
            "PYTHONUNBUFFERED": "1",
        }
        return {**kept, **quick, **told}

    def answers(self) -> bool:
        """Whether the process serves; nothing else is ever given its port."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=PROBE_SECONDS) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def kill(self) -> None:
        """End it at once (SIGKILL), its workers too; idempotent."""
        workers = self.worker_pids() if self._process is not None and self.workers > 1 else []
        super().kill()
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def worker_pids(self) -> list[int]:
        """The workers under the supervisor, as its log names them; the spare is none yet."""
        named = re.findall(r"Worker (\S+) is process (\d+)", self.log.read_text(errors="replace"))
        return [int(pid) for pid in dict(named).values() if Path(f"/proc/{pid}").exists()]

    def resident_bytes(self) -> int:
        """The process's resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def complaints(self, *allowed: str) -> list[str]:
        """Errors and tracebacks in the log whose first line none of the patterns allows."""
        records: list[tuple[str, str, str]] = []
        for line in self.log.read_text(errors="replace").splitlines():
            if (found := _RECORD.match(line)) is not None:
                records.append((found[1], found[3], ""))
            elif records:
                level, first, rest = records[-1]
                records[-1] = (level, first, f"{rest}\n{line}")
            elif "Traceback" in line:
                records.append(("ERROR", line, ""))
        return [
            f"{level} {first}{rest}"
            for level, first, rest in records
            if (level in {"ERROR", "CRITICAL"} or "Traceback" in rest)
            and not any(re.search(pattern, first) for pattern in allowed)
        ]


@contextmanager
def parleys(
    directory: Path, number: int = 1, *, allowed: tuple[str, ...] = (), **settings: object
) -> Iterator[list[Parley]]:
    """Instances that share these settings; ended on the way out, and their logs looked at."""
    instances: list[Parley] = []
    with ExitStack() as stack:
        for index in range(number):
            home = directory / f"parley{index}"
            home.mkdir()
            parley = Parley(home, **settings, **({"instance": f"i{index}"} if number > 1 else {}))
            instances.append(parley)
            stack.callback(parley.kill)
            parley.start()
        yield instances
    found = [line for parley in instances for line in parley.complaints(*allowed)]
    assert not found, "\n".join([f"{len(found)} complaints in the log", *found[:5]])
