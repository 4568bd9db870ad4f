"""Takes new connections, many in one turn of the loop.

libuv takes one in each turn. When the loop is busy a turn lasts tens of milliseconds: a crowd that
came back waited in the backlog until it overflowed, and the system dropped or reset connections.
"""

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import Awaitable, Callable, Sequence

from server.processes.listeners import listen

logger = logging.getLogger("parley.server")

# So many in a turn, so that others get one too.
AT_ONCE = 12
# How long to wait when the system has no descriptor left.
PAUSE_SECONDS = 0.1
# The peer was gone before its connection was taken (accept(2)): the next one is another's.
_GONE = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EINTR})


class Acceptor:
    """Hands each new connection of the listening sockets to `serve`, in a task."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        serve: Callable[[socket.socket], Awaitable[None]],
    ) -> None:
        self._listeners = [*listeners]
        self._serve = serve
        self._loop = asyncio.get_running_loop()
        self._serving: set[asyncio.Future[None]] = set()
        # While at most half of the descriptors are in use, a crowd may come in.
        self._roomy = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2

    def start(self) -> None:
        """Begin to take connections."""
        listen(self._listeners)
        for listener in self._listeners:
            listener.setblocking(False)
            self._loop.add_reader(listener, self._take, listener)

    def close(self) -> None:
        """Take no more connections."""
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            self._loop.remove_reader(listener)
            listener.close()

    def _take(self, listener: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _GONE:
                    logger.warning("Could not accept a connection: %s", error)
                    self._loop.remove_reader(listener)
                    self._loop.call_later(PAUSE_SECONDS, self._resume, listener)
                    return
                continue
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.ensure_future(self._serve(connection))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
            if connection.fileno() > self._roomy:
                return  # one in a turn: each may have to be refused before the next one comes

    def _resume(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener, self._take, listener)
