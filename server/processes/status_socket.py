"""The private channel over which `main.py status` asks each process how it is.

Each process of a server, the supervisor too, listens on a Unix socket of its own in a directory
that no other user can enter. So a process that hangs hides none of the others, and nothing of it
can be reached over the network. A client sends one line, the question, and gets one JSON document.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from server.processes.resources import own_resources

logger = logging.getLogger("parley.status")

# Below DATA_DIR.
DIRECTORY = "run"
SUFFIX = ".status"
DIRECTORY_MODE = 0o700
SOCKET_MODE = 0o600
# Those that wait while one is answered; there is one operator, with a few terminals.
BACKLOG = 8
QUESTION_BYTES = 64
WITH_USERS = b"users"
QUESTION_SECONDS = 2.0
DESCRIBE_SECONDS = 3.0
# A process whose loop is busy answers late; one that has not by then is said not to answer.
ANSWER_SECONDS = 5.0
MOST_ANSWER_BYTES = 16 * 1024 * 1024
# How long to wait when the system has no descriptor left.
PAUSE_SECONDS = 1.0

# Describes the process; with True, names the users who are connected.
Describe = Callable[[bool], Awaitable[dict[str, Any]]]


class DirectoryNotOurs(OSError):
    """The directory belongs to another user, who could look at what is said in it."""


class Answer(NamedTuple):
    """What a process says of itself; nothing where it does not answer."""

    process: int
    told: dict[str, Any] | None


class StatusSocket:
    """Answers whoever may enter the directory. A process without one serves all the same."""

    def __init__(self, data_dir: Path, describe: Describe) -> None:
        self._directory = data_dir / DIRECTORY
        self._describe = describe
        self._name = f"{os.getpid()}-{secrets.token_hex(3)}{SUFFIX}"
        self._listener: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to answer; where that cannot be, say so in the log."""
        try:
            self._listener = self._listen()
        except OSError as error:
            logger.warning("`main.py status` will not find this process: %s", error)
            return
        self._task = asyncio.create_task(self._answer_all(self._listener), name="status")

    async def close(self) -> None:
        """End, and leave nothing behind."""
        if self._task is None or self._listener is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._listener.close()
        with contextlib.suppress(OSError):
            (self._directory / self._name).unlink()

    def _listen(self) -> socket.socket:
        self._directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        with _opened(self._directory) as (directory, path):
            _remove_dead(directory, path)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                listener.bind(f"{path}/{self._name}")
                os.chmod(self._name, SOCKET_MODE, dir_fd=directory)
                listener.listen(BACKLOG)
            except BaseException:
                listener.close()
                raise
        listener.setblocking(False)
        return listener

    async def _answer_all(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:  # no descriptor is left
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            with connection:
                try:
                    await self._answer(connection)
                except (OSError, TimeoutError):
                    logger.debug("Whoever asked for the status has gone, or sent nothing")
                except Exception:
                    logger.exception("The status could not be told")

    async def _answer(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        if not _is_ours(connection):
            return
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(QUESTION_SECONDS):
            question = await loop.sock_recv(connection, QUESTION_BYTES)
        if not question:
            return  # somebody looks whether anybody listens here
        async with asyncio.timeout(DESCRIBE_SECONDS):
            described = await self._describe(question.strip() == WITH_USERS)
            told = {**await own_resources(), **described}
        async with asyncio.timeout(QUESTION_SECONDS):
            await loop.sock_sendall(connection, msgspec.json.encode(told))


async def ask_all(data_dir: Path, *, with_users: bool = False) -> list[Answer]:
    """Ask every process that serves with this DATA_DIR. Raises DirectoryNotOurs."""
    try:
        with _opened(data_dir / DIRECTORY) as (directory, path):
            _remove_dead(directory, path)
            names = sorted(name for name in os.listdir(directory) if name.endswith(SUFFIX))
            asked = (_ask(f"{path}/{name}", name, with_users) for name in names)
            return [answer for answer in await asyncio.gather(*asked) if answer is not None]
    except FileNotFoundError:
        return []


def is_served(data_dir: Path) -> bool:
    """Whether a process with this DATA_DIR listens, and may answer."""
    try:
        with _opened(data_dir / DIRECTORY) as (directory, path):
            _remove_dead(directory, path)
            return any(name.endswith(SUFFIX) for name in os.listdir(directory))
    except OSError:
        return False


async def _ask(path: str, name: str, with_users: bool) -> Answer | None:
    """Return what the process answers; None where it ended meanwhile."""
    process = int(name.partition("-")[0])
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await loop.sock_connect(connection, path)
                await loop.sock_sendall(connection, WITH_USERS + b"\n" if with_users else b"\n")
                told = b""
                while part := await loop.sock_recv(connection, 256 * 1024):
                    told += part
                    if len(told) > MOST_ANSWER_BYTES:
                        return Answer(process, None)
            return Answer(process, msgspec.json.decode(told))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except (OSError, TimeoutError, msgspec.DecodeError):
            return Answer(process, None)


@contextmanager
def _opened(directory: Path) -> Iterator[tuple[int, str]]:
    """Give a descriptor of the directory, and a short path to it. Raises DirectoryNotOurs, OSError.

    The path of a Unix socket has about a hundred bytes, which DATA_DIR alone may have.
    """
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(opened)
        if found.st_uid != os.geteuid():
            raise DirectoryNotOurs(f"{directory} belongs to user {found.st_uid}")
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.fchmod(opened, DIRECTORY_MODE)
        short = f"/proc/self/fd/{opened}"
        yield opened, short if os.path.exists(short) else str(directory)
    finally:
        os.close(opened)


def _remove_dead(directory: int, path: str) -> None:
    """Remove the sockets of processes that were killed: nobody listens on them."""
    for name in os.listdir(directory):
        if not name.endswith(SUFFIX):
            continue
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(f"{path}/{name}")
            except ConnectionRefusedError:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=directory)
            except OSError:
                continue  # it is busy, or has gone by itself


def _is_ours(connection: socket.socket) -> bool:
    """Whether our own user asks, or root; the directory keeps others out already."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, user, _ = struct.unpack("3i", peer)
    return user in {0, os.geteuid()}
