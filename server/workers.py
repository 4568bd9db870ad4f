"""Several processes on one port: a supervisor with a front, and the workers it keeps alive."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from server.handoff import Front
from server.listeners import bind, listen
from settings import Settings

logger = logging.getLogger("parley.supervisor")

# How a worker is told who it is: its name, and the descriptor of its channel to the front.
WORKER_VARIABLE = "PARLEY_WORKER"
READY = b"r"
STOPPING = b"s"
RESTART_SECONDS = (0.1, 0.5, 2.0, 5.0)
# A worker that lived for so long did not fail to start.
STEADY_SECONDS = 30.0
KILL_AFTER_SECONDS = 3.0


@dataclass(slots=True)
class Worker:
    """A place for a worker; processes come and go in it."""

    name: str
    process: asyncio.subprocess.Process | None = None
    channel: socket.socket | None = None
    ready: bool = False
    failures: int = 0
    was_ready: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Runs `workers` copies of a command, handing each its connections, until SIGTERM or SIGINT."""

    def __init__(
        self,
        settings: Settings,
        command: Sequence[str],
        listeners: Sequence[socket.socket] | None = None,
    ) -> None:
        self._settings = settings
        self._listeners = listeners
        self._command = command
        prefix = f"{settings.instance}-" if settings.instance else ""
        names = [f"{prefix}{number}" for number in range(settings.workers)]
        self._workers = {name: Worker(name) for name in names}
        self._turn = 0
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Serve; return the exit status: 0 after a stop, 3 when the workers cannot start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        listeners = self._listeners or bind(self._settings.host, self._settings.port)
        listen(listeners)
        front = Front(listeners, self._choose)
        keepers = [asyncio.create_task(self._keep(worker)) for worker in self._workers.values()]
        started = asyncio.create_task(self._all_ready())
        stopping = asyncio.create_task(self._stopping.wait())
        changes: list[asyncio.Task[Any]] = [started, stopping, *keepers]
        try:
            await asyncio.wait(changes, return_when=asyncio.FIRST_COMPLETED)
            if not started.done() and not stopping.done():
                # It would fail again.
                logger.error("A worker ended before it had ever served; its last words are above")
                return 3
            front.start()
            await stopping
            return 0
        finally:
            front.close()
            started.cancel()
            stopping.cancel()
            await self._stop(keepers)

    async def _all_ready(self) -> None:
        for worker in self._workers.values():
            await worker.was_ready.wait()

    def _choose(self, name: str | None) -> socket.socket | None:
        worker = self._workers.get(name) if name is not None else None
        if worker is not None and worker.ready:
            return worker.channel
        serving = [worker for worker in self._workers.values() if worker.ready]
        if not serving:
            return None
        self._turn += 1
        return serving[self._turn % len(serving)].channel

    async def _keep(self, worker: Worker) -> None:
        """Start the worker again whenever it ends; return when it fails before it ever served."""
        while True:
            born = time.monotonic()
            try:
                await self._live(worker)
            except OSError as error:  # no process or descriptor to be had: perhaps later
                logger.error("Worker %s cannot be started: %s", worker.name, error)
            if not worker.was_ready.is_set():
                return
            if time.monotonic() - born > STEADY_SECONDS:
                worker.failures = 0
            pause = RESTART_SECONDS[min(worker.failures, len(RESTART_SECONDS) - 1)]
            worker.failures += 1
            logger.error("Worker %s ended; starting it again in %.1f s", worker.name, pause)
            await asyncio.sleep(pause)

    async def _live(self, worker: Worker) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with ours:
            with theirs:
                worker.process = await asyncio.create_subprocess_exec(
                    *self._command,
                    env={**os.environ, WORKER_VARIABLE: f"{worker.name}:{theirs.fileno()}"},
                    pass_fds=[theirs.fileno()],
                )
            worker.channel = ours
            listening = asyncio.create_task(self._listen_to(worker, ours))
            try:
                await worker.process.wait()
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
            worker.ready = False
            worker.channel = None

    async def _listen_to(self, worker: Worker, channel: socket.socket) -> None:
        """Follow what the worker says of itself: that it is ready, that it is stopping."""
        with contextlib.suppress(OSError):  # it has died, which is noticed elsewhere
            while told := await asyncio.get_running_loop().sock_recv(channel, 1):
                worker.ready = told == READY
                if worker.ready:
                    worker.was_ready.set()

    async def _stop(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        living = [
            worker.process
            for worker in self._workers.values()
            if worker.process is not None and worker.process.returncode is None
        ]
        for keeper in keepers:
            keeper.cancel()
        for process in living:
            process.terminate()
        ends = [asyncio.create_task(process.wait()) for process in living]
        if ends:
            patience = self._settings.shutdown_seconds + KILL_AFTER_SECONDS
            await asyncio.wait(ends, timeout=patience)
        for process in living:
            if process.returncode is None:
                logger.error("A worker did not stop in time and is killed")
                process.kill()
        await asyncio.gather(*ends, *keepers, return_exceptions=True)


def worker_channel() -> tuple[str, socket.socket] | None:
    """Return this process's name and its channel to the front; None when it is no worker."""
    told = os.environ.pop(WORKER_VARIABLE, None)
    if told is None:
        return None
    name, _, descriptor = told.partition(":")
    return name, socket.socket(fileno=int(descriptor))


def supervise(settings: Settings, listeners: Sequence[socket.socket]) -> int:
    """Run this program's workers until it is told to stop; return the exit status."""

    async def run() -> int:
        return await Supervisor(settings, [sys.executable, *sys.argv], listeners).run()

    return asyncio.run(run())
