"""Several processes on one port: a supervisor, its dispatcher, and the workers it keeps alive."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from server.processes.dispatcher import Dispatcher
from server.processes.listeners import describe, listen
from server.processes.service_manager import ServiceManager
from server.processes.status_socket import StatusSocket
from settings import VERSION, Settings

logger = logging.getLogger("parley.supervisor")

# Tells a worker its name, and the descriptor of its channel to the supervisor. The name of a spare
# is empty: it gets a name when it takes the place of a worker.
WORKER_VARIABLE = "PARLEY_WORKER"
READY = b"r"
STOPPING = b"s"
ALIVE = b"a"
MAX_NAME = 64
# How long after a worker's end the next one starts, if it keeps dying young.
RESTART_SECONDS = (0.0, 0.1, 0.5, 2.0, 5.0)
# A worker that served for so long did not die young.
STEADY_SECONDS = 5.0
KILL_AFTER_SECONDS = 3.0
# How often a worker says that its event loop runs.
ALIVE_SECONDS = 1.0
# After so long a silence a worker gets no connections; after the longer one it is killed as frozen.
QUIET_SECONDS = 2.5
FROZEN_SECONDS = 7.0
LOOK_SECONDS = 0.5
# A worker that does not serve after so long never will. It may have to wait for a migration.
START_SECONDS = 120.0


@dataclass(slots=True)
class Child:
    """A process of this program, and the channel to it."""

    process: asyncio.subprocess.Process
    channel: socket.socket


@dataclass(slots=True)
class Worker:
    """A worker's name and state; a process that ends is replaced by another."""

    name: str
    child: Child | None = None
    ready: bool = False
    born_at: float = 0.0
    ready_at: float = 0.0
    heard_at: float = 0.0
    failures: int = 0
    was_ready: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Runs `workers` copies of a command, handing each its connections, until SIGTERM or SIGINT.

    One more copy, the spare, has started but serves nothing: it takes the place of a worker that
    ends, since the start of a process takes seconds.
    """

    def __init__(
        self,
        settings: Settings,
        command: Sequence[str],
        listeners: Sequence[socket.socket],
        manager: ServiceManager | None = None,
    ) -> None:
        self._settings = settings
        self._manager = manager
        self._listeners = listeners
        self._command = command
        prefix = f"{settings.instance}-" if settings.instance else ""
        names = [f"{prefix}{number}" for number in range(settings.workers)]
        self._workers = {name: Worker(name) for name in names}
        self._spare: Child | None = None
        self._turn = 0
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Serve; return the exit status: 0 after a stop, 3 when the workers cannot start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        listen(self._listeners)
        dispatcher = Dispatcher(self._listeners, self._choose)
        keepers = [asyncio.create_task(self._keep(worker)) for worker in self._workers.values()]
        started = asyncio.create_task(self._all_ready())
        stopping = asyncio.create_task(self._stopping.wait())
        watching = asyncio.create_task(self._watch())
        status = StatusSocket(self._settings.data_dir, self._describe)
        await status.start()
        changes: list[asyncio.Task[Any]] = [started, stopping, *keepers]
        try:
            await asyncio.wait(changes, return_when=asyncio.FIRST_COMPLETED)
            if not started.done() and not stopping.done():
                # It would fail again.
                logger.error("A worker ended before it had ever served; its last words are above")
                return 3
            dispatcher.start()
            if self._manager is not None:
                serving = f"{len(self._workers)} processes serve on {describe(self._listeners[0])}"
                self._manager.report_ready(serving)
            self._spare = await self._spawn("")
            await stopping
            return 0
        finally:
            if self._manager is not None:
                self._manager.report_stopping()
            dispatcher.close()
            for task in (started, stopping, watching):
                task.cancel()
            await status.close()
            await self._stop(keepers)

    async def _all_ready(self) -> None:
        for worker in self._workers.values():
            await worker.was_ready.wait()

    async def _describe(self, with_users: bool) -> dict[str, Any]:
        """Say how the workers are, for `main.py status`."""
        now = asyncio.get_running_loop().time()
        workers = [
            {
                "name": worker.name,
                "process": None if worker.child is None else worker.child.process.pid,
                "ready": worker.ready,
                "silentSeconds": round(now - worker.heard_at, 1) if worker.ready else None,
                "endings": worker.failures,
            }
            for worker in self._workers.values()
        ]
        spare = None if self._spare is None else self._spare.process.pid
        return {"version": VERSION, "workers": workers, "spare": spare}

    def _choose(self, name: str | None) -> socket.socket | None:
        worker = self._workers.get(name) if name is not None else None
        if worker is not None and worker.ready and worker.child is not None:
            return worker.child.channel
        quiet = asyncio.get_running_loop().time() - QUIET_SECONDS
        serving = [worker for worker in self._workers.values() if worker.ready]
        lively = [worker for worker in serving if worker.heard_at > quiet] or serving
        if not lively:
            return None
        self._turn += 1
        child = lively[self._turn % len(lively)].child
        return None if child is None else child.channel

    async def _keep(self, worker: Worker) -> None:
        """Start the worker again whenever it ends; return when it fails before it ever served."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._live(worker)
            except OSError as error:  # no process or descriptor is left: try again later
                logger.error("Worker %s cannot be started: %s", worker.name, error)
            if not worker.was_ready.is_set():
                return
            if worker.ready_at and loop.time() - worker.ready_at > STEADY_SECONDS:
                worker.failures = 0
            pause = RESTART_SECONDS[min(worker.failures, len(RESTART_SECONDS) - 1)]
            worker.failures += 1
            logger.error("Worker %s ended; starting it again in %.1f s", worker.name, pause)
            await asyncio.sleep(pause)

    async def _live(self, worker: Worker) -> None:
        worker.born_at, worker.ready_at = asyncio.get_running_loop().time(), 0.0
        worker.child = child = await self._promote_spare(worker.name) or await self._spawn(
            worker.name
        )
        logger.info("Worker %s is process %d", worker.name, child.process.pid)
        listening = asyncio.create_task(self._listen_to(worker, child.channel))
        try:
            await child.process.wait()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            worker.ready = False
            worker.child = None
            child.channel.close()

    async def _spawn(self, name: str) -> Child:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    env={**os.environ, WORKER_VARIABLE: f"{name}:{theirs.fileno()}"},
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl+C is the supervisor's to hear
                )
        except BaseException:
            ours.close()
            raise
        return Child(process, ours)

    async def _promote_spare(self, name: str) -> Child | None:
        """Give the spare this name, and have another made; None when there is none."""
        spare, self._spare = self._spare, None
        if spare is None:
            return None
        try:
            spare.channel.send(name.encode())
        except OSError:
            spare.channel.close()
            await spare.process.wait()
            return None
        finally:
            with contextlib.suppress(OSError):  # without one, the next start takes longer
                self._spare = await self._spawn("")
        return spare

    async def _listen_to(self, worker: Worker, channel: socket.socket) -> None:
        """Note what the worker reports: that it is ready, that it lives, that it is stopping."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # it has died, which is noticed elsewhere
            while told := await loop.sock_recv(channel, 1):
                worker.heard_at = loop.time()
                if told == READY:
                    worker.ready, worker.ready_at = True, loop.time()
                    worker.was_ready.set()
                elif told == STOPPING:
                    worker.ready = False

    async def _watch(self) -> None:
        """Kill frozen workers: each would go on getting its share of the connections."""
        loop = asyncio.get_running_loop()
        while True:
            slept_at = loop.time()
            await asyncio.sleep(LOOK_SECONDS)
            if loop.time() - slept_at > 2 * LOOK_SECONDS:  # this process was frozen itself
                for worker in self._workers.values():
                    worker.heard_at = loop.time()
            for worker in self._workers.values():
                silent = loop.time() - (worker.heard_at if worker.ready else worker.born_at)
                patience = FROZEN_SECONDS if worker.ready else START_SECONDS
                if worker.child is not None and silent > patience:
                    logger.error("Worker %s is silent for %.0f s: ended", worker.name, silent)
                    worker.ready = False
                    worker.child.process.kill()

    async def _stop(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        children = [worker.child for worker in self._workers.values()]
        living = [
            child.process
            for child in [*children, self._spare]
            if child is not None and child.process.returncode is None
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
        if self._spare is not None:
            self._spare.channel.close()


def worker_channel() -> tuple[str, socket.socket] | None:
    """Return this process's name and its channel to the supervisor; None when it is no worker.

    A spare waits here until it is given a name, and ends when its supervisor does.
    """
    told = os.environ.pop(WORKER_VARIABLE, None)
    if told is None:
        return None
    name, _, descriptor = told.partition(":")
    channel = socket.socket(fileno=int(descriptor))
    if not name:
        name = channel.recv(MAX_NAME).decode()
        if not name:
            raise SystemExit(0)
    return name, channel


def supervise(
    settings: Settings, listeners: Sequence[socket.socket], manager: ServiceManager | None = None
) -> int:
    """Run this program's workers until it is told to stop; return the exit status."""
    command = [sys.executable, *sys.argv]
    return asyncio.run(Supervisor(settings, command, listeners, manager).run())
