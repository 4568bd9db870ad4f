"""A subscription of one WebSocket, for as long as its id is in use."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from schema.execution.batches import Results
from schema.execution.documents import Operation
from schema.execution.fastlane import Fastlane
from schema.transports import protocol
from schema.transports.operation_log import Doing, OperationLog
from schema.transports.socket_writer import SocketWriter


class ResponseStream(Fastlane):
    """The results of a subscription on their way to the client (GraphQL §6.2.3.2).

    A task of the socket runs it until it has caught up, and again whenever the client reads too
    slowly. An idle subscription has no task: it is an entry in the feed, and this object.
    """

    __slots__ = (
        "_head",
        "_log",
        "_run",
        "_writer",
        "doing",
        "id",
        "operation",
        "task",
        "variables",
    )

    def __init__(
        self,
        writer: SocketWriter,
        log: OperationLog,
        doing: Doing,
        run: Callable[["ResponseStream"], None],
        operation: Operation,
        variables: dict[str, Any] | None,
    ) -> None:
        super().__init__()
        self._writer = writer
        self._run = run
        self._log = log
        self.doing = doing
        self.id = doing.id
        message = protocol.encode({"id": doing.id, "type": "next", "payload": None})
        self._head = message.removesuffix(b"null}")
        self.operation = operation
        self.variables = variables
        self.task: asyncio.Task[None] | None = None

    def write(self, result: msgspec.Raw) -> bool:
        """Send a result at once; False when it has to wait, or no more results are sent."""
        return not self._writer.leaving and self._writer.write(self._head, result, b"}")

    async def send(self, results: Results) -> None:
        """Send results; wait until the client has read them. Raises WebSocketDisconnect."""
        await self._writer.send_results(self.id, self._head, results)

    def wake(self) -> None:
        """Have the socket run this again."""
        self._run(self)

    def ended(self, task: asyncio.Task[None]) -> None:
        """Let go of a task that is done: its traceback refers to this."""
        if self.task is task:
            self.task = None

    def cancel(self) -> None:
        """End it, in whichever state it is."""
        self._log.end(self.doing)
        self.leave()
        # Cancel it once: a second cancellation would interrupt the clean-up of the first.
        if self.task is not None and not self.task.cancelling():
            self.task.cancel()
