"""systemd, or whatever speaks as it does: hands listening sockets over, hears how the server is.

The protocols are sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3). Their variables are for
one process: no child may take the sockets or the reports for its own.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import MutableMapping

# The first descriptor of those that are handed over (sd_listen_fds(3)).
FIRST_DESCRIPTOR = 3
MOST_LISTENERS = 64


class ServiceManager:
    """Who has started this process; `listeners` come in place of HOST and PORT."""

    def __init__(
        self, *, address: str = "", watchdog_seconds: float = 0, listeners: list[socket.socket]
    ) -> None:
        self.listeners = listeners
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog_seconds = watchdog_seconds

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> "ServiceManager":
        """Read the variables, and remove them. Raises OSError: what came is no listening socket."""
        told = {name: environment.pop(name, "") for name in _VARIABLES}
        ours = {"", str(os.getpid())}  # a shell between the manager and us keeps its variables
        listening = told["LISTEN_PID"] == str(os.getpid())
        number = _number(told["LISTEN_FDS"]) if listening else 0
        watched = told["NOTIFY_SOCKET"] and told["WATCHDOG_PID"] in ours
        microseconds = _number(told["WATCHDOG_USEC"]) if watched else 0
        return cls(
            address=told["NOTIFY_SOCKET"],
            watchdog_seconds=microseconds / 1e6,
            listeners=[_take(FIRST_DESCRIPTOR + index) for index in range(number)],
        )

    def report_ready(self, status: str) -> None:
        """Say that connections are served; from now on, that the running event loop turns."""
        self._tell(f"READY=1\nSTATUS={status}")
        if self._watchdog_seconds:
            self._beat()

    def report_stopping(self) -> None:
        """Say that the end has begun."""
        self._tell("STOPPING=1\nSTATUS=Finishing what is in flight")

    def _beat(self) -> None:
        self._tell("WATCHDOG=1")
        # sd_watchdog_enabled(3) recommends half of the time.
        asyncio.get_running_loop().call_later(self._watchdog_seconds / 2, self._beat)

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        # Nobody there, or too busy to hear: the server is none the worse.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as teller,
        ):
            teller.sendto(state.encode(), self._address)


_VARIABLES = (
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0


def _take(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        listener = socket.socket(fileno=descriptor)
        listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise OSError(f"LISTEN_FDS: descriptor {descriptor} is no socket") from error
    if listener.type != socket.SOCK_STREAM or not listens:
        raise OSError(f"LISTEN_FDS: descriptor {descriptor} is no listening stream socket")
    return listener
