"""A subscription of one WebSocket, for as long as its id is in use."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from schema.execution.batches import Results
from schema.execution.documents import Operation
from schema.execution.live import Live
from schema.transports import wire
from schema.transports.peer import Peer


class Stream(Live):
    """Run by a task of its socket, until it has caught up; and again when something is in the way.

    Without a task it is an entry in the feed and this object: what an idle connection keeps.
    """

    __slots__ = ("_head", "_peer", "_run", "id", "operation", "task", "variables")

    def __init__(
        self,
        peer: Peer,
        run: Callable[["Stream"], None],
        id_: str,
        operation: Operation,
        variables: dict[str, Any] | None,
    ) -> None:
        super().__init__()
        self._peer = peer
        self._run = run
        self._head = wire.encode({"id": id_, "type": "next", "payload": None})[: -len(b"null}")]
        self.id = id_
        self.operation = operation
        self.variables = variables
        self.task: asyncio.Task[None] | None = None

    def write(self, result: msgspec.Raw) -> bool:
        """Send a result at once; False when it has to wait, or no more are shown."""
        return not self._peer.leaving and self._peer.write(self._head, result, b"}")

    async def send(self, results: Results) -> None:
        """Send what was read; wait until the peer has read. Raises WebSocketDisconnect."""
        await self._peer.send_results(self.id, self._head, results)

    def wake(self) -> None:
        """Have the socket run this again."""
        self._run(self)

    def ended(self, task: asyncio.Task[None]) -> None:
        """Let go of a task that is done: its traceback refers to this."""
        if self.task is task:
            self.task = None

    def cancel(self) -> None:
        """End it, in whichever state it is."""
        self.leave()
        # Cancel it once: a second cancellation would interrupt the clean-up of the first.
        if self.task is not None and not self.task.cancelling():
            self.task.cancel()
